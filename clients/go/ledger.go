package uwfq

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

const (
	// Most results, starts or leases in one message, and most bytes of texts: below the service's limits.
	mostResults      = 5000
	mostMessageBytes = 1 << 20
	// An attempt that started so much later than it was granted tells the service when it did: its
	// time in the queue is not to be charged.
	queuedLong = 5 * time.Millisecond
)

// room is where an attempt stands.
type room int

const (
	queued room = iota
	running
	ended
)

// attempt is one lease and what became of it.
type attempt struct {
	task *Task
	// ctx is the handler's; it ends when the attempt is to stop, and its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc

	room      room
	grantedAt time.Time
	startedAt time.Time
	// announced says whether the service knows that it has started.
	announced bool

	// renewEvery is a third of the lease, so that two renewals may get lost.  renewAt is when the
	// next one is due; zero for a lease that is void.
	renewEvery time.Duration
	renewAt    time.Time
}

// ledger is what a worker holds and what it owes: its leases, from grant to acknowledged report.
//
// Picture one line of attempts moving through three rooms:
//
//	grant -> queued -> start -> running -> finish -> ended -> acknowledged -> forgotten
//
// An attempt occupies slots in the first two rooms and owes a result in the third.  Each lease that
// was granted is answered once, whatever happened: run, failed, revoked while it waited.  A result
// leaves only when the service has acknowledged it, so that a lost reply or a restart of the service
// loses nothing; reporting twice is harmless, as the service counts each result once.
//
// Pure bookkeeping: it calls nobody and reads no clock.  Safe for concurrent use.
type ledger struct {
	slots    int
	prefetch int
	// base is what the handlers' contexts derive from; set before the first grant.
	base context.Context

	mu sync.Mutex
	// attempts by lease, until acknowledged.
	attempts map[uint64]*attempt
	queue    []*attempt
	// unsent are results that no message under way carries.
	unsent []*uwfqv1.TaskResult
	// Slots of the attempts that run, and of those that run or queue.
	runningSlots int
	heldSlots    int
	running      int
	// closed: what it held was given up, and it takes nothing more.
	closed bool
}

func newLedger(slots, prefetch int) *ledger {
	return &ledger{
		slots: slots, prefetch: prefetch,
		base: context.Background(), attempts: map[uint64]*attempt{},
	}
}

// --------------------------------------------------------------------------------- at a glance

// freeSlots are those in which nothing runs.
func (l *ledger) freeSlots() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.slots-l.runningSlots, 0)
}

// counts are the attempts that run, and that wait for a slot.
func (l *ledger) counts() (running, queued int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running, len(l.queue)
}

// busy says whether anything runs or queues.
func (l *ledger) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heldSlots > 0
}

// owes says whether there are results that no message under way carries.
func (l *ledger) owes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.unsent) > 0
}

// wantsWork says whether to ask for more leases: a slot is free, or half of the queue is used up.
// Half, so that a poll brings a batch and the rest of the queue bridges its round trip.
func (l *ledger) wantsWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slots+l.prefetch-l.heldSlots > l.prefetch/2
}

// ---------------------------------------------------------------------------- through the rooms

// grant queues new leases, in the service's order.  A lease that is known already is left as it is:
// a poll was repeated whose answer had arrived.  After giveUp nothing is taken.
func (l *ledger) grant(leases []*Task, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range leases {
		if l.closed || l.attempts[lease.GetLeaseId()] != nil {
			continue
		}
		granted := &attempt{task: lease, grantedAt: now}
		granted.ctx, granted.cancel = context.WithCancelCause(l.base)
		granted.extend(lease.GetExpiresInSeconds(), now)
		l.attempts[lease.GetLeaseId()] = granted
		l.queue = append(l.queue, granted)
		l.heldSlots += int(lease.GetSlots())
	}
}

// start is the next attempt that fits the free slots, as running; nil: none does.
//
// Strictly in order: a large task that waits for slots must not be overtaken for ever.
func (l *ledger) start(now time.Time) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	next := l.queue[0]
	slots := int(next.task.GetSlots())
	// A task that is larger than the whole worker would wait for ever; let it run alone.
	if l.running > 0 && l.runningSlots+slots > l.slots {
		return nil
	}
	l.queue = l.queue[1:]
	next.room = running
	next.startedAt = now
	next.announced = now.Sub(next.grantedAt) < queuedLong
	l.running++
	l.runningSlots += slots
	return next
}

// finish frees the attempt's slots; from now on its result is owed.  It is false when the attempt
// had ended before: one that was given up may still come to its end.
func (l *ledger) finish(a *attempt, result *uwfqv1.TaskResult) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.finishLocked(a, result)
}

func (l *ledger) finishLocked(a *attempt, result *uwfqv1.TaskResult) bool {
	if a.room == ended || l.attempts[a.task.GetLeaseId()] != a {
		return false
	}
	slots := int(a.task.GetSlots())
	if a.room == running {
		l.running--
		l.runningSlots -= slots
	} else {
		l.queue = slices.DeleteFunc(l.queue, func(each *attempt) bool { return each == a })
	}
	l.heldSlots -= slots
	a.room = ended
	a.cancel(context.Canceled) // Nothing runs under it any longer.
	l.unsent = append(l.unsent, result)
	return true
}

// revoke is for leases that the service wants no more, because of cause.  What runs is told through
// its context, what still queued is answered at once, what has ended is reported all the same.
func (l *ledger) revoke(leaseIDs []uint64, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, leaseID := range leaseIDs {
		switch a := l.attempts[leaseID]; {
		case a == nil:
		case a.room == queued:
			l.finishLocked(a, failedResult(a.task, cause, 0))
		case a.room == running:
			a.cancel(cause)
		}
	}
}

// giveUp ends what runs as failed (retryable), whether or not its handler returns, and lets go of
// what queues: it was not begun, and goes back to the service when the worker leaves.  It returns
// the tasks that ran.
func (l *ledger) giveUp(cause error, now time.Time) (ran []*Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.queue {
		a.cancel(cause)
		l.heldSlots -= int(a.task.GetSlots())
		delete(l.attempts, a.task.GetLeaseId())
	}
	l.queue = nil
	l.closed = true
	for _, a := range l.attempts {
		if a.room == running {
			a.cancel(cause)
			l.finishLocked(a, failedResult(a.task, cause, a.ran(now)))
			ran = append(ran, a.task)
		}
	}
	return ran
}

// -------------------------------------------------------------------------------------- reports

// takeResults is results for one message.  Follow with acknowledged or putBack.
func (l *ledger) takeResults() []*uwfqv1.TaskResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, messageBytes := 0, 0
	for taken < min(len(l.unsent), mostResults) && messageBytes < mostMessageBytes {
		messageBytes += len(l.unsent[taken].GetFailure().GetMessage())
		taken++
	}
	results := l.unsent[:taken:taken]
	l.unsent = l.unsent[taken:]
	return results
}

// putBack is for a message that was lost, or nobody knows: its results are owed again.
func (l *ledger) putBack(results []*uwfqv1.TaskResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsent = slices.Concat(results, l.unsent)
}

// acknowledged forgets what the service has taken in, whatever it thinks of it; the rest is owed
// again.
func (l *ledger) acknowledged(results []*uwfqv1.TaskResult, acks []*uwfqv1.TaskResultAck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := make(map[uint64]bool, len(acks))
	for _, ack := range acks {
		known[ack.GetLeaseId()] = true
	}
	for _, result := range results {
		if known[result.GetLeaseId()] {
			delete(l.attempts, result.GetLeaseId())
		} else {
			l.unsent = append(l.unsent, result)
		}
	}
}

// -------------------------------------------------------------------------- starts and renewals

// starts are the attempts that run, but did not start when they were granted, and that the service
// has not been told of; as many as fit a message.  Follow with announced.
func (l *ledger) starts(now time.Time) []*uwfqv1.TaskStart {
	l.mu.Lock()
	defer l.mu.Unlock()
	var starts []*uwfqv1.TaskStart
	for leaseID, a := range l.attempts {
		if len(starts) == mostResults {
			break
		}
		if a.room == running && !a.announced {
			starts = append(starts, &uwfqv1.TaskStart{
				LeaseId: leaseID, RunningSeconds: a.ran(now).Seconds()})
		}
	}
	return starts
}

// announced is for starts that the service has been told of.
func (l *ledger) announced(starts []*uwfqv1.TaskStart) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, start := range starts {
		if a := l.attempts[start.GetLeaseId()]; a != nil {
			a.announced = true
		}
	}
}

// nextRenewal is when the first lease wants more time; zero: none does.
func (l *ledger) nextRenewal() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var next time.Time
	for _, a := range l.attempts {
		if !a.renewAt.IsZero() && (next.IsZero() || a.renewAt.Before(next)) {
			next = a.renewAt
		}
	}
	return next
}

// dueForRenewal are the leases to renew with the one that is due, those at least half-way to their
// own time, in the order of their grants.  Leases of results that are not acknowledged yet are among
// them.  As many as fit a message.
func (l *ledger) dueForRenewal(now time.Time) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []uint64
	for leaseID, a := range l.attempts {
		if !a.renewAt.IsZero() && !a.renewAt.Add(-a.renewEvery/2).After(now) {
			due = append(due, leaseID)
		}
	}
	slices.Sort(due)
	return due[:min(len(due), mostResults)]
}

// renewed is for a lease that the service has extended.
func (l *ledger) renewed(leaseID uint64, expiresInSeconds float64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[leaseID]; a != nil {
		a.extend(expiresInSeconds, now)
	}
}

// void is for a lease that the service wants no more of: there is nothing left to renew.
func (l *ledger) void(leaseID uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[leaseID]; a != nil {
		a.renewAt = time.Time{}
	}
}

// ran is how long it has run by now, which may have been read just before it began.
func (a *attempt) ran(now time.Time) time.Duration {
	return max(now.Sub(a.startedAt), 0)
}

func (a *attempt) extend(expiresInSeconds float64, now time.Time) {
	a.renewEvery = seconds(expiresInSeconds) / 3
	a.renewAt = now.Add(a.renewEvery)
}

// seconds is a number of the protocol as a duration.
func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}
