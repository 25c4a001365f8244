package uwfq

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// A worker wants to know at once that the service is away: it has waits of its own, and tells its log.
var failFast = grpc.WaitForReady(false)

// ---------------------------------------------------------------------------------------- poll

// pollLoop asks for work until the session is to stop.  Its error is what no waiting would mend.
func (s *session) pollLoop(base context.Context) error {
	ctx, cancel := within(base, s.polling)
	defer cancel()
	waits := newBackoff()
	for ctx.Err() == nil {
		if !s.ledger.wantsWork() {
			select {
			case <-s.wanted:
			case <-ctx.Done():
			}
			continue
		}
		sentAt := time.Now()
		fruitful, err := s.poll(ctx, s.options.PollWait, s.maxTasks())
		switch {
		case err != nil && ctx.Err() == nil:
			if err := s.endure(ctx, err, waits); err != nil {
				return err
			}
		case fruitful || time.Since(sentAt) > hasty:
			waits.reset()
		default:
			_ = sleep(ctx, waits.next(nil))
		}
	}
	return nil
}

func (s *session) maxTasks() *uint32 {
	if s.options.MaxBatch == 0 {
		return nil
	}
	return new(uint32(s.options.MaxBatch))
}

// poll asks once; fruitful says whether the answer brought anything.
//
// Results ride along, and are owed again unless they are acknowledged.
func (s *session) poll(
	ctx context.Context, wait time.Duration, maxTasks *uint32,
) (fruitful bool, err error) {
	results, starts := s.ledger.takeResults(), s.ledger.starts(time.Now())
	request := &uwfqv1.NextTaskRequest{
		Pool:        s.options.Pool,
		WorkerId:    s.options.WorkerID,
		Slots:       uint32(s.options.Slots),
		FreeSlots:   uint32(s.ledger.freeSlots()),
		Prefetch:    uint32(s.options.Prefetch),
		MaxTasks:    maxTasks,
		WaitSeconds: wait.Seconds(),
		PollId:      s.pollID,
		Done:        results,
		Started:     starts,
	}
	s.pollOpen = true
	s.polls.Add(1)
	response, calledOff, err := s.callPoll(ctx, request, wait+answerTime)
	if err != nil {
		s.putBack(results)
		if calledOff {
			return true, nil
		}
		return false, err
	}
	s.pollID++
	s.pollOpen = false
	s.acknowledged(results, response.GetDoneAcks())
	s.ledger.announced(starts)
	s.revoke(response.GetRevokedLeaseIds(), errRevoked)
	if leases := response.GetLeases(); len(leases) > 0 {
		s.ledger.grant(leases, time.Now())
		s.granted.set()
		s.launcher.launch()
	}
	return len(response.GetLeases())+len(response.GetRevokedLeaseIds())+len(results) > 0, nil
}

// callPoll is the call of a poll, which askAnew may call off.
func (s *session) callPoll(
	ctx context.Context, request *uwfqv1.NextTaskRequest, timeout time.Duration,
) (response *uwfqv1.NextTaskResponse, calledOff bool, err error) {
	ctx, callOff := context.WithCancelCause(ctx)
	defer callOff(nil)
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.underWay(callOff, request.GetFreeSlots())
	defer s.underWay(nil, 0)
	response, err = ask(timed, s.client.scheduler.NextTask, request, failFast)
	return response, context.Cause(ctx) == errAskAnew, err
}

func (s *session) underWay(callOff context.CancelCauseFunc, freeSlots uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callOff, s.polledFree = callOff, int(freeSlots)
}

// askAnew calls off a poll that speaks of fewer free slots than there are by now: they may be too
// few for the task that comes next.
func (s *session) askAnew() {
	free := s.ledger.freeSlots()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callOff != nil && free > s.polledFree {
		s.callOff(errAskAnew)
	}
}

// -------------------------------------------------------------------------------------- report

// reportLoop sends results that no poll takes along.  Its error is what no waiting would mend.
func (s *session) reportLoop(ctx context.Context) error {
	waits := newBackoff()
	for {
		select {
		case <-s.owed:
		case <-ctx.Done():
			return nil
		}
		if !s.ledger.owes() {
			continue
		}
		// A poll that leaves meanwhile takes the results along.
		_ = sleep(ctx, s.options.ReportDelay)
		reported := false
		for s.ledger.owes() && ctx.Err() == nil {
			if err := s.report(ctx, s.ledger.takeResults()); err != nil {
				if err := s.endure(ctx, err, waits); err != nil {
					return err
				}
				continue
			}
			waits.reset()
			reported = true
		}
		if reported {
			// The report has overtaken the poll, so the poll is parked.
			s.askAnew()
		}
	}
}

// report sends results, once.
func (s *session) report(ctx context.Context, results []*uwfqv1.TaskResult) error {
	if len(results) == 0 {
		return nil // A poll was quicker.
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	request := &uwfqv1.TaskDoneRequest{WorkerId: s.options.WorkerID, Results: results}
	response, err := ask(ctx, s.client.scheduler.TaskDone, request, failFast)
	if err != nil {
		s.putBack(results)
		return err
	}
	s.acknowledged(results, response.GetAcks())
	return nil
}

// putBack is for results whose message was lost, or nobody knows.
func (s *session) putBack(results []*uwfqv1.TaskResult) {
	s.ledger.putBack(results)
	s.owed.set()
}

// acknowledged is for results that the service has answered.
func (s *session) acknowledged(results []*uwfqv1.TaskResult, acks []*uwfqv1.TaskResultAck) {
	s.mended()
	s.ledger.acknowledged(results, acks)
	for _, ack := range acks {
		switch ack.GetStatus() {
		case uwfqv1.TaskResultStatus_TASK_RESULT_STATUS_STALE,
			uwfqv1.TaskResultStatus_TASK_RESULT_STATUS_UNKNOWN:
			s.options.Logger.Debug("a result does not count: it came too late, or was known already",
				"lease_id", ack.GetLeaseId())
		}
	}
}

// --------------------------------------------------------------------------------------- renew

// renewLoop extends leases before they expire.
func (s *session) renewLoop(ctx context.Context) {
	waits := newBackoff()
	for ctx.Err() == nil {
		if !s.renewalDue(ctx) {
			continue
		}
		if err := s.renew(ctx); err != nil {
			// The polls will find out whether it is fatal.
			s.waitOut(ctx, err, waits)
			continue
		}
		waits.reset()
	}
}

// renewalDue waits for the next renewal; false when there are other leases meanwhile, or an end.
func (s *session) renewalDue(ctx context.Context) bool {
	var due <-chan time.Time // Never, with nothing to renew.
	if next := s.ledger.nextRenewal(); !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return true
	case <-s.granted:
	case <-ctx.Done():
	}
	return false
}

func (s *session) renew(ctx context.Context) error {
	starts, leases := s.ledger.starts(time.Now()), s.ledger.dueForRenewal(time.Now())
	if len(leases) == 0 {
		return nil // They have ended meanwhile; an empty list would mean all.
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	response, err := ask(ctx, s.client.scheduler.RenewLeases, &uwfqv1.RenewLeasesRequest{
		WorkerId: s.options.WorkerID, LeaseIds: leases, Started: starts,
	}, failFast)
	if err != nil {
		return err
	}
	s.ledger.announced(starts)
	now := time.Now()
	for _, renewal := range response.GetRenewals() {
		leaseID := renewal.GetLeaseId()
		switch renewal.GetStatus() {
		case uwfqv1.LeaseStatus_LEASE_STATUS_RENEWED:
			s.ledger.renewed(leaseID, renewal.GetExpiresInSeconds(), now)
		case uwfqv1.LeaseStatus_LEASE_STATUS_REVOKED:
			s.ledger.void(leaseID)
			s.revoke([]uint64{leaseID}, errRevoked)
		default:
			s.ledger.void(leaseID)
			s.revoke([]uint64{leaseID}, errExpired)
		}
	}
	return nil
}

// revoke stops what the service wants no more.
func (s *session) revoke(leaseIDs []uint64, cause error) {
	if len(leaseIDs) > 0 {
		s.ledger.revoke(leaseIDs, cause)
		s.changed()
	}
}
