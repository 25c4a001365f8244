package uwfq

import (
	"context"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// A worker that was asked to stop leaves in three steps: it fetches what its last poll may have been
// granted, finishes and reports all that it holds, and says goodbye.  The goodbye hands back what it
// has not begun (once it was told to hurry), so that nobody waits for these leases to expire.

const (
	// How long a worker tries to bring its last results to a service that does not answer: about a
	// lease, after which nobody waits for them.
	lastReportTime = 30 * time.Second
	// The same when it owes nothing, or is in a hurry.
	lastPollTime = 2 * time.Second
	// What handlers get to return in that were given up.
	lastHandlerTime = time.Second
)

// drain waits until nothing is held any more; heard says whether the service can be asked at all.
func (s *session) drain(base context.Context) (heard bool) {
	heard = s.fetchGranted(base)
	for s.ledger.busy() {
		<-s.ended
		heard = true // It is worth a try after so long.
	}
	return heard
}

// fetchGranted repeats a poll whose answer is still to come, asking for nothing but what it may have
// been granted; false: the service does not answer.
func (s *session) fetchGranted(base context.Context) bool {
	ctx, cancel := within(base, s.holding)
	defer cancel()
	waits := newBackoff()
	began := time.Now()
	for s.pollOpen && ctx.Err() == nil {
		if err := s.pollLast(ctx); err != nil {
			if s.hopeless(err) || !s.ledger.busy() && time.Since(began) >= lastPollTime {
				return false
			}
			s.waitOut(ctx, err, waits)
		}
	}
	return true
}

// pollLast is one of these polls.  With nothing at stake it does not wait for long.
func (s *session) pollLast(ctx context.Context) error {
	if !s.ledger.busy() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lastPollTime)
		defer cancel()
	}
	_, err := s.poll(ctx, 0, new(uint32(0)))
	return err
}

// leave reports what is owed still, and lets the service forget this worker.
func (s *session) leave(base context.Context) {
	if s.polls.Load() == 0 {
		return // The service does not know it.
	}
	patience := lastPollTime
	if s.ledger.owes() && s.holding.Err() == nil {
		patience = lastReportTime
	}
	ctx, cancel := context.WithTimeout(base, patience)
	defer cancel()
	// Whoever is told to hurry meanwhile has lastPollTime from then on.
	release := context.AfterFunc(s.holding, func() { time.AfterFunc(lastPollTime, cancel) })
	defer release()
	waits := newBackoff()
	for {
		err := s.sayGoodbye(ctx)
		if err == nil {
			if !s.ledger.owes() {
				return
			}
			continue // There is more than fits one message.
		}
		if !s.hopeless(err) {
			s.waitOut(ctx, err, waits)
			if ctx.Err() == nil {
				continue
			}
		}
		if s.ledger.owes() {
			s.options.Logger.Warn("stopped with results that were not reported", "error", err)
		}
		return
	}
}

// sayGoodbye sends the last poll, or, if there is more than fits it, results that come before it.
func (s *session) sayGoodbye(ctx context.Context) error {
	results := s.ledger.takeResults()
	if s.ledger.owes() {
		return s.report(ctx, results)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	response, err := ask(ctx, s.client.scheduler.NextTask, &uwfqv1.NextTaskRequest{
		Pool:     s.options.Pool,
		WorkerId: s.options.WorkerID,
		Done:     results,
		Leaving:  true,
	}, failFast)
	if err != nil {
		s.putBack(results)
		return err
	}
	s.acknowledged(results, response.GetDoneAcks())
	return nil
}
