package uwfq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// serving is a worker that serves in the background until the test ends.

type serving struct {
	*Worker
	// served brings what Serve has returned.
	served chan error
}

// serve starts a worker; handler is for all kinds.

func serve(t *testing.T, service *fakeService, options WorkerOptions, handler Handler) *serving {
	t.Helper()
	options.Logger = slog.New(slog.DiscardHandler)
	worker := &serving{NewWorker(service.client(t), options), make(chan error, 1)}
	worker.HandleOthers(handler)
	go func() { worker.served <- worker.Serve(t.Context()) }()
	t.Cleanup(func() { worker.stop(t) }) // Before the client is closed.
	return worker
}

// stop stops it gracefully, however often it is called.

func (w *serving) stop(t *testing.T) {
	t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func nothing(context.Context, *Task) (*Measurement, error) { return nil, nil }

// hold runs until its context ends, and returns why that did.

func hold(ctx context.Context, _ *Task) (*Measurement, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// gate is a handler that runs until the gate is opened or its context ends.

type gate chan struct{}

func (g gate) pass(ctx context.Context, _ *Task) (*Measurement, error) {
	select {
	case <-g:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestEveryTaskIsRunAndReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 20, &Task{Payload: []byte("p"), Labels: map[string]string{"colour": "blue"}})
		var mu sync.Mutex
		var ran []uint32
		worker := serve(t, service, WorkerOptions{Slots: 3}, func(_ context.Context, task *Task) (*Measurement, error) {
			if string(task.GetPayload()) != "p" || task.GetLabels()["colour"] != "blue" {
				t.Errorf("task %v", task)
			}
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, task.GetTaskIndex())
			return &Measurement{InputBytes: new(uint64(7)), Rows: new(uint64(task.GetTaskIndex()))}, nil
		})
		service.untilResults(t, 20)
		worker.stop(t)
		slices.Sort(ran)
		for index := range 20 {
			success := service.results[uint64(index+1)].GetSuccess()
			if ran[index] != uint32(index) || success.GetInputBytes() != 7 || success.GetRows() != uint64(index) {
				t.Errorf("task %d: ran %v, result %v", index, ran, success)
			}
		}
		if stats := worker.Stats(); stats.Succeeded != 20 || stats.Running+stats.Queued+stats.Failed != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestAWorkerNeverRunsMoreThanItsSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 40, &Task{})
		var running, most atomic.Int32
		serve(t, service, WorkerOptions{Slots: 2, Prefetch: 10}, func(context.Context, *Task) (*Measurement, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return nil, nil
		})
		service.untilResults(t, 40)
		if most.Load() != 2 {
			t.Errorf("%d tasks ran at once", most.Load())
		}
		for _, poll := range received[*uwfqv1.NextTaskRequest](service) {
			if poll.GetFreeSlots() > 2 {
				t.Errorf("a poll speaks of %d free slots", poll.GetFreeSlots())
			}
		}
	})
}

// A task that has queued is not charged for its time in the queue.
func TestQueuedTasksTellWhenTheyStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 2, &Task{})
		serve(t, service, WorkerOptions{Slots: 1, Prefetch: 1, PollWait: time.Second},
			func(context.Context, *Task) (*Measurement, error) {
				time.Sleep(5500 * time.Millisecond)
				return nil, nil
			})
		service.untilResults(t, 2)
		var starts []*uwfqv1.TaskStart
		for _, poll := range received[*uwfqv1.NextTaskRequest](service) {
			starts = append(starts, poll.GetStarted()...)
		}
		if len(starts) != 1 || starts[0].GetLeaseId() != 2 {
			t.Errorf("starts %v; wanted one, of the second lease", starts)
		}
	})
}

// brokenError panics when it is nil, which an error may be that compares unequal to nil.
type brokenError struct{ cause error }

func (e *brokenError) Error() string { return e.cause.Error() }

func (e *brokenError) Unwrap() error { return e.cause }

func TestFailuresAreReportedWithTheirMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		fails := map[string]Handler{
			"error": func(context.Context, *Task) (*Measurement, error) { return nil, errors.New("disk on fire") },
			"permanent": func(context.Context, *Task) (*Measurement, error) {
				return nil, Permanent(errors.New("no such column"))
			},
			"panic":  func(context.Context, *Task) (*Measurement, error) { panic("at the disco") },
			"goexit": func(context.Context, *Task) (*Measurement, error) { runtime.Goexit(); return nil, nil },
			"long":   func(context.Context, *Task) (*Measurement, error) { return nil, errors.New(strings.Repeat("é", 3000)) },
			"nil": func(context.Context, *Task) (*Measurement, error) {
				var err *brokenError
				return nil, err
			},
			"nil for good": func(context.Context, *Task) (*Measurement, error) {
				var err *brokenError
				return nil, Permanent(err)
			},
		}
		const broken = "panic: runtime error: invalid memory address or nil pointer dereference"
		wanted := map[string]*uwfqv1.TaskFailure{
			"error":        {Message: "disk on fire", Retryable: true},
			"permanent":    {Message: "no such column", Retryable: false},
			"panic":        {Message: "panic: at the disco", Retryable: true},
			"goexit":       {Message: "the handler has ended its goroutine", Retryable: true},
			"long":         {Message: strings.Repeat("é", 2048), Retryable: true},
			"nil":          {Message: broken, Retryable: true},
			"nil for good": {Message: broken, Retryable: true},
			"other":        {Message: `no handler for kind "other"`, Retryable: true},
		}
		worker := NewWorker(service.client(t), WorkerOptions{Slots: 1, Logger: slog.New(slog.DiscardHandler)})
		for kind, handler := range fails {
			worker.Handle(kind, handler)
		}
		for kind := range wanted {
			service.addJob(kind, 1, &Task{Kind: kind})
		}
		go func() { _ = worker.Serve(t.Context()) }()
		service.untilResults(t, len(wanted))
		if err := worker.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		for index, kind := range service.order {
			got, want := service.results[uint64(index+1)].GetFailure(), wanted[kind]
			if got.GetMessage() != want.GetMessage() || got.GetRetryable() != want.GetRetryable() {
				t.Errorf("%s: got %v, wanted %v", kind, got, want)
			}
		}
		if failed := worker.Stats().Failed; failed != len(wanted) {
			t.Errorf("%d failures counted", failed)
		}
	})
}

// Each goroutine reads the clock before it has its turn; the service refuses a time below zero.
func TestNoAttemptHasRunForLessThanNoTime(t *testing.T) {
	ledger, begun := newLedger(1, 0), time.Now()
	ledger.grant([]*Task{{LeaseId: 1, Slots: 1}}, begun.Add(-time.Second))
	ledger.start(begun)
	earlier := begun.Add(-time.Microsecond)
	if starts := ledger.starts(earlier); len(starts) != 1 || starts[0].GetRunningSeconds() != 0 {
		t.Errorf("starts %v", starts)
	}
	ledger.giveUp(errGivenUp, earlier)
	if results := ledger.takeResults(); results[0].GetFailure().GetRuntimeSeconds() != 0 {
		t.Errorf("results %v", results)
	}
}

// What a handler has measured is what it was when it returned, whenever that is sent.
func TestAHandlerMayGoOnCountingInTheSamePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 3, &Task{})
		var rows uint64
		serve(t, service, WorkerOptions{Slots: 1, Prefetch: 2, ReportDelay: time.Minute},
			func(context.Context, *Task) (*Measurement, error) {
				rows++
				return &Measurement{Rows: &rows}, nil
			})
		service.untilResults(t, 3)
		for leaseID, result := range service.results {
			if told := result.GetSuccess().GetRows(); told != leaseID {
				t.Errorf("lease %d: %d rows", leaseID, told)
			}
		}
	})
}

// What it does with its task is its own affair: the worker knows by itself which lease it holds.
func TestAHandlerMayWriteIntoItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 3, &Task{})
		worker := serve(t, service, WorkerOptions{Slots: 1}, func(_ context.Context, task *Task) (*Measurement, error) {
			task.LeaseId, task.Attempt, task.Slots = 77, 9, 5
			return nil, nil
		})
		service.untilResults(t, 3)
		worker.stop(t)
		for leaseID := uint64(1); leaseID <= 3; leaseID++ {
			if result := service.results[leaseID]; result.GetAttempt() != 1 {
				t.Errorf("lease %d: result %v", leaseID, result)
			}
		}
	})
}

func TestAKindsOwnHandlerGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("a", 1, &Task{Kind: "a"})
		service.addJob("b", 1, &Task{Kind: "b"})
		calls := make(chan string, 2)
		named := func(name string) Handler {
			return func(_ context.Context, task *Task) (*Measurement, error) {
				calls <- name + " " + task.GetKind()
				return nil, nil
			}
		}
		worker := NewWorker(service.client(t), WorkerOptions{Slots: 1})
		worker.Handle("b", named("b's"))
		worker.HandleOthers(named("others'"))
		go func() { _ = worker.Serve(t.Context()) }()
		if first, second := <-calls, <-calls; first != "others' a" || second != "b's b" {
			t.Errorf("%q, %q", first, second)
		}
		_ = worker.Stop(t.Context())
	})
}

func TestMistakesAreNamed(t *testing.T) {
	client, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	worker := NewWorker(client, WorkerOptions{})
	if err := worker.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "Worker.Handle") {
		t.Errorf("without a handler: %v", err)
	}
	worker.Handle("a", nothing)
	worker.HandleOthers(nothing)
	_ = worker.Stop(t.Context())
	if err := worker.Serve(t.Context()); err != nil {
		t.Error(err)
	}
	if err := worker.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "serves once") {
		t.Errorf("serving twice: %v", err)
	}
	for name, mistake := range map[string]func(){
		"already": func() {
			other := NewWorker(client, WorkerOptions{})
			other.Handle("a", nothing)
			other.Handle("a", nothing)
		},
		"before": func() { worker.Handle("b", nothing) },
		"uwfq: Slots is -1, and must be at least 0": func() {
			NewWorker(client, WorkerOptions{Slots: -1})
		},
		"uwfq: Grace is -1s, and must be at least 0": func() {
			NewWorker(client, WorkerOptions{Grace: -time.Second})
		},
		"uwfq: Slots is 9223372036854775807, and must be at most 1000000": func() {
			NewWorker(client, WorkerOptions{Slots: math.MaxInt, Prefetch: 1})
		},
		"uwfq: Prefetch is 1000001, and must be at most 1000000": func() {
			NewWorker(client, WorkerOptions{Prefetch: 1_000_001})
		},
		`uwfq: the handler for kind "a" is nil`: func() {
			NewWorker(client, WorkerOptions{}).Handle("a", nil)
		},
		"uwfq: the handler for other kinds is nil": func() {
			NewWorker(client, WorkerOptions{}).HandleOthers(nil)
		},
		"for other kinds already": func() {
			other := NewWorker(client, WorkerOptions{})
			other.HandleOthers(nothing)
			other.HandleOthers(nothing)
		},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, name) {
					t.Errorf("%s: panic %q", name, text)
				}
			}()
			mistake()
		}()
	}
}
