package uwfq

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Time for a report or a renewal to be answered, and what a poll gets beyond its wait.
	answerTime = 15 * time.Second
	// A poll that brings nothing and is answered so soon was not parked; ask again less eagerly.
	hasty = 50 * time.Millisecond
)

var (
	errRevoked = errors.New("its job was cancelled or has failed, or its time is up")
	errExpired = errors.New("its lease expired")
	errGivenUp = errors.New("the worker was stopped before the task ended")
	// errAskAnew calls off a parked poll, for one that speaks of more free slots.
	errAskAnew = errors.New("more slots are free by now")
)

// session is one worker's conversation with the service, from the first poll to the last report.
//
// Three loops (loops.go) share one ledger:
//
//	poll      asks for leases when slots are free; results ride along.  A long poll.
//	report    sends results that would otherwise wait for a poll (TaskDone).
//	renew     extends leases at a third of their time, and learns which are void.
//
// After a stop (leaving.go) the poll loop ends; the other two go on until what is held is finished.
//
// What keeps acknowledged work from being lost or done twice:
//
//   - A poll carries an id that rises only when its answer has arrived.  A poll whose answer was
//     lost (or that we gave up) is repeated under the same id, and the service grants the same
//     leases again.
//   - Results stay in the ledger until the service has acknowledged them.
//   - Trouble with the service (a restart, a full inbox) is waited out, with growing waits.
type session struct {
	client   *Client
	options  WorkerOptions
	ledger   *ledger
	launcher *launcher

	// They wake the poll loop, to look whether a poll is wanted; the report loop, as results are
	// owed; the renew loop, as there are new leases; the drain, as something has ended.
	wanted, owed, granted, ended wakeup

	// polling ends with the stop, holding when the worker gives up what it holds.
	polling, holding  context.Context
	stop, stopHolding context.CancelFunc
	// served is closed when serve has returned.
	served chan struct{}

	// Of the poll under way, or the last one; the poll loop's own, and after it the drain's.
	pollID uint64
	// pollOpen says whether its answer is still to come: it may have been granted leases.
	pollOpen bool
	polls    atomic.Int64

	mu sync.Mutex
	// Of the poll under way: calls it off (nil: there is none), and the free slots that it speaks of.
	callOff    context.CancelCauseFunc
	polledFree int
	// err is what no waiting would mend.
	err error

	// inTrouble says whether the last that we heard of the service was trouble.
	inTrouble atomic.Bool
}

// wakeup wakes one loop; any number of them while it is busy wake it once.
type wakeup chan struct{}

func newWakeup() wakeup { return make(wakeup, 1) }

func (w wakeup) set() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func newSession(client *Client, options WorkerOptions, handlers map[string]Handler) *session {
	s := &session{
		client: client, options: options,
		ledger: newLedger(options.Slots, options.Prefetch),
		wanted: newWakeup(), owed: newWakeup(), granted: newWakeup(), ended: newWakeup(),
		served: make(chan struct{}),
		pollID: 1,
	}
	s.launcher = &launcher{
		ledger: s.ledger, handlers: handlers, logger: options.Logger, onChange: s.changed,
	}
	s.polling, s.stop = context.WithCancel(context.Background())
	s.holding, s.stopHolding = context.WithCancel(context.Background())
	return s
}

// serve works until stop, then drains.  Handlers and calls run under base.
func (s *session) serve(base context.Context) error {
	defer close(s.served)
	s.ledger.base = base
	keeping, stopKeeping := context.WithCancel(base)
	defer stopKeeping()
	var keepers sync.WaitGroup
	keepers.Go(func() { s.fail(s.reportLoop(keeping)) })
	keepers.Go(func() { s.renewLoop(keeping) })

	s.fail(s.pollLoop(base))
	heard := s.drain(base)
	stopKeeping()
	keepers.Wait()
	if heard || s.ledger.owes() {
		s.leave(base)
	}
	s.launcher.wait(lastHandlerTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// within is base (with its values) until end ends.
func within(base, end context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(base)
	if end.Err() != nil {
		cancel() // At once: AfterFunc takes its time.
	}
	release := context.AfterFunc(end, cancel)
	return ctx, func() { release(); cancel() }
}

// giveUp stops, and ends what is held instead of finishing it.
func (s *session) giveUp() {
	s.stop()
	s.stopHolding()
	s.launcher.giveUp(errGivenUp)
}

// fail stops the session because of what no waiting would mend; nil is nothing.
func (s *session) fail(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.stop()
}

func (s *session) stats() WorkerStats {
	running, queued := s.ledger.counts()
	return WorkerStats{
		Running:   running,
		Queued:    queued,
		Succeeded: int(s.launcher.succeeded.Load()),
		Failed:    int(s.launcher.failed.Load()),
		Polls:     int(s.polls.Load()),
	}
}

// changed is for attempts that have ended: poll for more, or see that their results do not stay here
// for long.
func (s *session) changed() {
	s.ended.set()
	s.wanted.set()
	s.owed.set()
}

// ------------------------------------------------------------------------------------- trouble

// hopeless says whether no other try could succeed.
func (s *session) hopeless(err error) bool {
	return isFatal(err) || s.client.closed()
}

// endure waits before the next try; it returns err if none could succeed.
func (s *session) endure(ctx context.Context, err error, waits *backoff) error {
	if s.hopeless(err) {
		return err
	}
	s.waitOut(ctx, err, waits)
	return nil
}

// waitOut waits before the next try, at most until ctx ends.
func (s *session) waitOut(ctx context.Context, err error, waits *backoff) {
	if ctx.Err() != nil {
		return
	}
	if !s.inTrouble.Swap(true) {
		// Once per outage, however many tries it takes.
		s.options.Logger.Warn("the service does not serve, trying again", "error", err)
	}
	_ = sleep(ctx, waits.next(err))
}

// mended is for an answer from the service.
func (s *session) mended() {
	if s.inTrouble.Swap(false) {
		s.options.Logger.Info("the service serves again")
	}
}
