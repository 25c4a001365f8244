package uwfq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// What the service keeps of a failure's message.
const failureMessageBytes = 4096

// launcher runs what the ledger lets start, each attempt in a goroutine of its own, and brings its
// outcome home.  A handler's return, its error, its panic and its runtime become a result right
// where it ran, so that the runtime is the handler's own.
type launcher struct {
	ledger *ledger
	// handlers by kind, and the one for all other kinds, which may be nil.
	handlers map[string]Handler
	others   Handler
	logger   *slog.Logger
	// onChange is called after each end.
	onChange func()

	// underWay are the handlers that have not returned.
	underWay  sync.WaitGroup
	succeeded atomic.Int64
	failed    atomic.Int64
}

// launch starts what fits.
func (l *launcher) launch() {
	for {
		next := l.ledger.start(time.Now())
		if next == nil {
			return
		}
		l.underWay.Go(func() { l.run(next) })
	}
}

// run takes one attempt to its end, and starts what fits then.
func (l *launcher) run(a *attempt) {
	var measured *Measurement
	err := errors.New("the handler has ended its goroutine") // Unless it returns.
	defer func() {
		runtime := time.Since(a.startedAt)
		result := succeededResult(a.task, measured, runtime)
		if err != nil {
			result = failedResult(a.task, err, runtime)
		}
		if l.ledger.finish(a, result) {
			l.count(a.task, err)
		}
		l.launch()
		l.onChange()
	}()
	measured, err = l.call(a)
}

// call runs the handler of the attempt's kind.  A panic is a failure like any other.
func (l *launcher) call(a *attempt) (measured *Measurement, err error) {
	task := a.task
	handler := l.handlers[task.GetKind()]
	if handler == nil {
		handler = l.others
	}
	if handler == nil {
		// Another worker of the pool may have a handler: this one may be older, or newer.
		return nil, fmt.Errorf("no handler for kind %q", task.GetKind())
	}
	ctx := a.ctx
	if task.TimeLimitSeconds != nil {
		limit := seconds(task.GetTimeLimitSeconds())
		over := fmt.Errorf("it ran longer than its limit of %v", limit)
		var release context.CancelFunc
		ctx, release = context.WithTimeoutCause(ctx, limit, over)
		defer release()
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v", value)
			l.logger.Error("a handler has panicked", taskAttributes(task,
				slog.Any("panic", value), slog.String("stack", string(debug.Stack())))...)
		}
	}()
	// A copy, which the handler may write into: reports and slots go by what the service has said.
	measured, err = handler(ctx, copyOf(task))
	return measured, readable(withCause(ctx, err))
}

// readable is the same error, once all that will be read off it has been.  A nil pointer that is
// returned as an error panics at that: here, where it is a failure like any other.
func readable(err error) error {
	if err != nil {
		_, _ = err.Error(), isPermanent(err)
	}
	return err
}

// withCause is a handler's error, with the reason why it was told to stop, if it was.
func withCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || isPermanent(err) {
		return err
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(err, cause):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return cause // The handler says no more than that it was told to stop.
	default:
		return fmt.Errorf("%w: %w", cause, err)
	}
}

func (l *launcher) count(task *Task, err error) {
	if err == nil {
		l.succeeded.Add(1)
		return
	}
	l.failed.Add(1)
	l.logger.Warn("a task has failed", taskAttributes(task, slog.Any("error", err))...)
}

func taskAttributes(task *Task, more ...any) []any {
	return append([]any{
		slog.String("job_id", task.GetJobId()),
		slog.String("stage", task.GetStage()),
		slog.Uint64("task_index", uint64(task.GetTaskIndex())),
		slog.Uint64("attempt", uint64(task.GetAttempt())),
	}, more...)
}

// giveUp ends everything that runs as failed, and tells its handlers.
func (l *launcher) giveUp(cause error) {
	for _, task := range l.ledger.giveUp(cause, time.Now()) {
		l.count(task, cause)
	}
	l.onChange()
}

// wait waits until all handlers have returned, for so long at most.
func (l *launcher) wait(longest time.Duration) {
	returned := make(chan struct{})
	go func() {
		l.underWay.Wait()
		close(returned)
	}()
	select {
	case <-returned:
	case <-time.After(longest):
	}
}

func succeededResult(task *Task, measured *Measurement, runtime time.Duration) *uwfqv1.TaskResult {
	success := &uwfqv1.TaskSuccess{RuntimeSeconds: runtime.Seconds()}
	if measured != nil {
		// The handler may go on to count in the same place, and the result is sent later, maybe twice.
		success.InputBytes, success.Rows = copied(measured.InputBytes), copied(measured.Rows)
	}
	return &uwfqv1.TaskResult{
		LeaseId: task.GetLeaseId(),
		Attempt: task.GetAttempt(),
		Outcome: &uwfqv1.TaskResult_Success{Success: success},
	}
}

func copied(number *uint64) *uint64 {
	if number == nil {
		return nil
	}
	return new(*number)
}

func failedResult(task *Task, err error, runtime time.Duration) *uwfqv1.TaskResult {
	message := err.Error()
	// Protobuf takes valid UTF-8 only, which a cut may spoil, too.
	message = strings.ToValidUTF8(message[:min(len(message), failureMessageBytes)], "")
	return &uwfqv1.TaskResult{
		LeaseId: task.GetLeaseId(),
		Attempt: task.GetAttempt(),
		Outcome: &uwfqv1.TaskResult_Failure{Failure: &uwfqv1.TaskFailure{
			Message:        message,
			Retryable:      !isPermanent(err),
			RuntimeSeconds: runtime.Seconds(),
		}},
	}
}
