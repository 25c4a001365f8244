package uwfq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// mostSlots is what the protocol allows a worker, and its queue.
const mostSlots = 1_000_000

// Task is one attempt at one task, as the service has leased it.
type Task = uwfqv1.TaskLease

// Measurement is what a handler may tell about its task; nil is "not known".
type Measurement struct {
	// InputBytes is what it read: the service learns from it how long such tasks run.
	InputBytes *uint64
	// Rows is what it read or produced.
	Rows *uint64
}

// Handler runs one attempt at one task, in a goroutine of its own.  The measurement may be nil.
//
// An error or a panic is a failure: the task is tried again, here or elsewhere, up to its stage's
// number of attempts; [Permanent] fails the job at once.  A task may run twice (its worker may have
// been cut off while it ran), so handlers should be safe to repeat.
//
// The context ends when the attempt is not wanted any more: its job was cancelled or has failed, its
// lease has expired, its time limit is reached, or the worker gives up.  context.Cause tells which.
// It carries the values of the context that the worker serves under, but not its end.
type Handler func(ctx context.Context, task *Task) (*Measurement, error)

// WorkerOptions say how a worker works; the zero value will do.
type WorkerOptions struct {
	// Pool is the pool it works for.  Default: "default".
	Pool string
	// WorkerID is its name, new at each start of the process.  Default: made of the host's name, the
	// process id and something random.
	WorkerID string
	// Slots is how many slots of tasks run at once.  Default: one for each processor.
	Slots int
	// Prefetch is how many slots' worth of leases to queue beyond those that run.  With 0 the service
	// decides as late as possible, which is fairest; short tasks are cheaper in batches of 100 and more.
	Prefetch int
	// MaxBatch bounds the leases of one poll.  Default: as many as fit.
	MaxBatch int
	// PollWait is how long a poll may be parked at the service when there is nothing to run.
	// Default: 30 s.
	PollWait time.Duration
	// ReportDelay is how long a result may wait for the next poll to take it along.  Default: 10 ms.
	ReportDelay time.Duration
	// Grace is how long a worker that was asked to stop may finish what it holds, before it gives up.
	// Default: as long as it takes.
	Grace time.Duration
	// Logger is told of failed tasks and of outages.  Default: slog's own.
	Logger *slog.Logger
}

// WorkerStats is what a worker is doing, and has done.
type WorkerStats struct {
	// Running and Queued are attempts that run, and that wait for a slot.
	Running, Queued int
	// Succeeded and Failed are attempts that have ended.
	Succeeded, Failed int
	// Polls are the requests for work that were sent.
	Polls int
}

// Worker asks the service for tasks, runs a handler for each, and reports how it went.
//
// It outlives restarts of the service: what it runs goes on meanwhile, and is reported afterwards.
// It serves once; its methods may be called from any goroutine.
type Worker struct {
	session  *session
	handlers map[string]Handler

	mu      sync.Mutex
	serving bool
}

// NewWorker makes a worker of the service that the client is connected to.  It panics on numbers
// below zero, and on more than 1,000,000 slots.
func NewWorker(client *Client, options WorkerOptions) *Worker {
	mustNotBeNegative("Slots", options.Slots)
	mustNotBeNegative("Prefetch", options.Prefetch)
	mustNotBeNegative("MaxBatch", options.MaxBatch)
	mustNotBeNegative("PollWait", options.PollWait)
	mustNotBeNegative("ReportDelay", options.ReportDelay)
	mustNotBeNegative("Grace", options.Grace)
	mustFit("Slots", options.Slots)
	mustFit("Prefetch", options.Prefetch)
	worker := &Worker{handlers: map[string]Handler{}}
	worker.session = newSession(client, withDefaults(options), worker.handlers)
	return worker
}

func mustNotBeNegative[Value int | time.Duration](name string, value Value) {
	if value < 0 {
		panic(fmt.Sprintf("uwfq: %s is %v, and must be at least 0", name, value))
	}
}

// mustFit is for numbers of slots.  More than the service takes could also be more than can be added.
func mustFit(name string, slots int) {
	if slots > mostSlots {
		panic(fmt.Sprintf("uwfq: %s is %d, and must be at most %d", name, slots, mostSlots))
	}
}

func withDefaults(options WorkerOptions) WorkerOptions {
	setDefault(&options.Pool, "default")
	if options.WorkerID == "" {
		options.WorkerID = newWorkerID()
	}
	setDefault(&options.Slots, runtime.GOMAXPROCS(0))
	setDefault(&options.PollWait, 30*time.Second)
	setDefault(&options.ReportDelay, 10*time.Millisecond)
	setDefault(&options.Logger, slog.Default())
	return options
}

func setDefault[Value comparable](option *Value, value Value) {
	var zero Value
	if *option == zero {
		*option = value
	}
}

// newWorkerID is new at each start; the service takes 128 bytes.
func newWorkerID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%.64s-%d-%.8s", host, os.Getpid(), rand.Text())
}

// ID is the worker's name.
func (w *Worker) ID() string {
	return w.session.options.WorkerID
}

// Handle registers the handler for the jobs of a kind, before the worker serves.  It panics if there
// is one already, or if the handler is nil.
func (w *Worker) Handle(kind string, handler Handler) {
	w.mustNotServe()
	if handler == nil {
		panic(fmt.Sprintf("uwfq: the handler for kind %q is nil", kind))
	}
	if w.handlers[kind] != nil {
		panic(fmt.Sprintf("uwfq: there is a handler for kind %q already", kind))
	}
	w.handlers[kind] = handler
}

// HandleOthers registers the handler for the jobs of all kinds that have none of their own, before
// the worker serves.  It panics if there is one already, or if the handler is nil.
func (w *Worker) HandleOthers(handler Handler) {
	w.mustNotServe()
	if handler == nil {
		panic("uwfq: the handler for other kinds is nil")
	}
	if w.session.launcher.others != nil {
		panic("uwfq: there is a handler for other kinds already")
	}
	w.session.launcher.others = handler
}

func (w *Worker) mustNotServe() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serving {
		panic("uwfq: handlers are registered before the worker serves")
	}
}

// Run serves until SIGTERM, SIGINT or the end of ctx: the main program of a worker process.
//
// The first signal lets the worker finish and report what it holds, at most for its grace; the
// second makes it give up at once.  See [Worker.Serve].
func (w *Worker) Run(ctx context.Context) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	served := make(chan struct{})
	defer close(served)
	go func() {
		for _, obey := range []func(){w.stopWithGrace, w.session.giveUp} {
			select {
			case <-signals:
				obey()
			case <-served:
				return
			}
		}
	}()
	return w.Serve(ctx)
}

// Serve works until ctx ends or [Worker.Stop] is called, finishes and reports what it holds, and
// returns nil.
//
// What is not finished within the grace is given up: what runs is reported as failed (to be tried
// again), what was not begun goes back to the service and counts as no attempt.  A handler that does
// not return within a second is left behind.
//
// Outages of the service are waited out.  The error is what no waiting would mend: no such pool, not
// permitted, not UWFQ.
func (w *Worker) Serve(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	release := context.AfterFunc(ctx, w.stopWithGrace)
	defer release()
	return w.session.serve(context.WithoutCancel(ctx))
}

func (w *Worker) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.handlers) == 0 && w.session.launcher.others == nil:
		return errors.New("uwfq: a worker needs a handler: see Worker.Handle")
	case w.serving:
		return errors.New("uwfq: a worker serves once; make another one")
	}
	w.serving = true
	return nil
}

func (w *Worker) stopWithGrace() {
	w.session.stop()
	if grace := w.session.options.Grace; grace > 0 {
		// Harmless when it comes too late: nothing is held then.
		time.AfterFunc(grace, w.session.giveUp)
	}
}

// Stop makes the worker stop, and waits until what it holds is finished and reported.
//
// When ctx ends first, the worker gives up (see [Worker.Serve]), and the error is the context's.
// Called before Serve, it makes that return at once.  Not for handlers: they would wait for
// themselves.
func (w *Worker) Stop(ctx context.Context) error {
	w.session.stop()
	w.mu.Lock()
	serving := w.serving
	w.mu.Unlock()
	if !serving {
		return nil
	}
	select {
	case <-w.session.served:
		return nil
	case <-ctx.Done():
		w.session.giveUp()
		<-w.session.served
		return ctx.Err()
	}
}

// Stats is what it is doing, and has done.
func (w *Worker) Stats() WorkerStats {
	return w.session.stats()
}
