package uwfq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
		}
		wanted := map[string]*uwfqv1.TaskFailure{
			"error":     {Message: "disk on fire", Retryable: true},
			"permanent": {Message: "no such column", Retryable: false},
			"panic":     {Message: "panic: at the disco", Retryable: true},
			"goexit":    {Message: "the handler has ended its goroutine", Retryable: true},
			"long":      {Message: strings.Repeat("é", 2048), Retryable: true},
			"other":     {Message: `no handler for kind "other"`, Retryable: true},
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

// A busy worker needs one call per batch: no TaskDone while there is something to poll for.
func TestResultsRideOnTheNextPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1000, &Task{})
		worker := serve(t, service, WorkerOptions{Slots: 1, Prefetch: 99, ReportDelay: time.Minute}, nothing)
		service.untilResults(t, 1000)
		worker.stop(t)
		if reports := received[*uwfqv1.TaskDoneRequest](service); len(reports) > 0 {
			t.Errorf("%d reports", len(reports))
		}
		// At most a poll for each half of a batch, and those at the end.
		if polls := len(service.pollsLocked()); polls > 25 {
			t.Errorf("%d polls for ten batches", polls)
		}
	})
}

// With a poll parked for the free slot, a result is reported by itself.
func TestAResultDoesNotWaitForAParkedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		open := gate(make(chan struct{}))
		serve(t, service, WorkerOptions{Slots: 2, PollWait: time.Hour}, open.pass)
		service.until(t, "a parked poll", func() bool { return len(service.pollsLocked()) == 2 })
		close(open)
		began := time.Now()
		service.untilResults(t, 1)
		if waited := time.Since(began); waited != 10*time.Millisecond {
			t.Errorf("the result came after %v, wanted the delay of 10ms", waited)
		}
	})
}

// Else a task that needs all slots would wait for the parked poll to time out.
func TestAParkedPollIsAskedAnewWhenMoreSlotsAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("small", 2, &Task{})
		open := gate(make(chan struct{}))
		serve(t, service, WorkerOptions{Slots: 3, PollWait: time.Hour}, open.pass)
		service.until(t, "a parked poll", func() bool { return len(service.pollsLocked()) == 2 })
		close(open)
		service.untilResults(t, 2)
		service.addJob("large", 1, &Task{Slots: 3})
		began := time.Now()
		service.untilResults(t, 3)
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the large task took %v", waited)
		}
	})
}

// The poll is repeated under its id and brings the same leases; each is run once.
func TestALostAnswerToAPollLosesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 6, &Task{})
		service.lose("NextTask", 8) // More than gRPC's own five tries.
		var ran atomic.Int32
		worker := serve(t, service, WorkerOptions{Slots: 2}, func(context.Context, *Task) (*Measurement, error) {
			ran.Add(1)
			return nil, nil
		})
		service.untilResults(t, 6)
		worker.stop(t)
		if ran.Load() != 6 {
			t.Errorf("%d runs of 6 tasks", ran.Load())
		}
		for index, poll := range service.pollsLocked() {
			if index < 9 && poll.GetPollId() != 1 || index == 9 && poll.GetPollId() != 2 {
				t.Errorf("poll %d has id %d", index, poll.GetPollId())
			}
		}
	})
}

// A result is kept until it is acknowledged; reporting it twice counts once.
func TestResultsAreKeptUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		service.lose("TaskDone", 3)
		service.refuse("TaskDone", refusal(t, codes.ResourceExhausted, "full"), 3)
		worker := serve(t, service, WorkerOptions{Slots: 2, PollWait: time.Hour},
			func(context.Context, *Task) (*Measurement, error) {
				time.Sleep(time.Second)
				return nil, nil
			})
		service.until(t, "seven reports", func() bool {
			return len(receivedLocked[*uwfqv1.TaskDoneRequest](service)) == 7
		})
		worker.stop(t)
		if goodbye := received[*uwfqv1.NextTaskRequest](service); len(goodbye[len(goodbye)-1].GetDone()) > 0 {
			t.Error("it was reported again after it had been acknowledged")
		}
	})
}

// Two of five calls fail, half of them after they were carried out.
func TestWhateverGetsLostEachTaskRunsAndCountsOnce(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			service := newFakeService(t)
			// Longer than any run of bad luck; renewals are what shorter ones would be about.
			service.leaseTime = 10 * time.Minute
			service.chaos = rand.New(rand.NewPCG(seed, 1))
			service.addJob("j", 100, &Task{})
			options := WorkerOptions{Slots: 1 + rng.IntN(4), Prefetch: rng.IntN(7)}
			ran := make(map[uint32]int)
			var mu sync.Mutex
			worker := serve(t, service, options, func(_ context.Context, task *Task) (*Measurement, error) {
				mu.Lock()
				ran[task.GetTaskIndex()]++
				mu.Unlock()
				time.Sleep(time.Duration(task.GetTaskIndex()%7) * 3 * time.Millisecond)
				return nil, nil
			})
			service.untilResults(t, 100)
			service.update(func() { service.chaos = nil })
			worker.stop(t)
			for index := range uint32(100) {
				if ran[index] != 1 {
					t.Errorf("seed %d: task %d ran %d times", seed, index, ran[index])
				}
			}
			if len(service.leases) > 0 {
				t.Errorf("seed %d: leases are left: %v", seed, service.leases)
			}
		})
	}
}

// What ran meanwhile is reported afterwards, once, and work goes on.
func TestAWorkerOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("before", 2, &Task{})
		var ran atomic.Int32
		open := gate(make(chan struct{}))
		worker := serve(t, service, WorkerOptions{Slots: 2}, func(ctx context.Context, task *Task) (*Measurement, error) {
			ran.Add(1)
			return open.pass(ctx, task)
		})
		service.until(t, "leases", func() bool { return len(service.leases) == 2 })
		synctest.Wait()
		service.goAway()
		close(open)
		time.Sleep(time.Minute)
		if stats := worker.Stats(); stats.Succeeded != 2 {
			t.Errorf("%+v", stats)
		}
		service.comeBack()
		back := time.Now()
		service.addJob("after", 2, &Task{})
		service.untilResults(t, 4)
		if waited := time.Since(back); waited > 6*time.Second {
			t.Errorf("it took %v to notice that the service is back", waited)
		}
		worker.stop(t)
		if ran.Load() != 4 {
			t.Errorf("%d runs of 4 tasks", ran.Load())
		}
	})
}

func renewals(service *fakeService) (at []time.Duration) {
	service.mu.Lock()
	defer service.mu.Unlock()
	for _, each := range service.arrived {
		if _, ok := each.request.(*uwfqv1.RenewLeasesRequest); ok {
			at = append(at, each.after)
		}
	}
	return at
}

func TestLeasesAreRenewedAtAThirdOfTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 3, &Task{})
		serve(t, service, WorkerOptions{Slots: 3}, hold)
		time.Sleep(35 * time.Second)
		if at := renewals(service); !slices.Equal(at, []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}) {
			t.Errorf("renewals at %v", at)
		}
		if first := received[*uwfqv1.RenewLeasesRequest](service)[0]; !slices.Equal(first.GetLeaseIds(), []uint64{1, 2, 3}) {
			t.Errorf("the first is of %v, not of all", first.GetLeaseIds())
		}
		service.revoke(1, 2, 3)
	})
}

func TestRenewalsSurviveRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		service.refuse("RenewLeases", errUnavailable, 8)
		serve(t, service, WorkerOptions{Slots: 1}, hold)
		time.Sleep(29 * time.Second)
		if at := renewals(service); len(at) < 9 || at[8] > 20*time.Second {
			t.Errorf("tried at %v; the ninth, which is answered, well before the lease is over", at)
		}
		service.revoke(1)
	})
}

func TestARevokedLeaseCancelsItsContext(t *testing.T) {
	for name, slots := range map[string]int{
		"told by a poll":    2, // Its other slot keeps a poll parked.
		"told by a renewal": 1,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := newFakeService(t)
				service.addJob("j", 1, &Task{})
				serve(t, service, WorkerOptions{Slots: slots}, hold)
				service.until(t, "a lease", func() bool { return len(service.leases) == 1 })
				service.revoke(1)
				service.untilResults(t, 1)
				if message := service.results[1].GetFailure().GetMessage(); message != "its job was cancelled or has failed" {
					t.Errorf("message %q", message)
				}
			})
		})
	}
}

// Another worker has the task by now.
func TestAnExpiredLeaseCancelsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		stopped := make(chan error, 1)
		serve(t, service, WorkerOptions{Slots: 1}, func(ctx context.Context, _ *Task) (*Measurement, error) {
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return nil, nil
		})
		service.until(t, "a lease", func() bool { return len(service.leases) == 1 })
		service.update(func() { clear(service.leases) })
		if cause := <-stopped; cause.Error() != "its lease expired" {
			t.Errorf("cause %v", cause)
		}
	})
}

// What queues is answered without being run.
func TestARevokedLeaseThatQueuesIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 3, &Task{})
		open := gate(make(chan struct{}))
		var ran atomic.Int32
		serve(t, service, WorkerOptions{Slots: 1, Prefetch: 2}, func(ctx context.Context, task *Task) (*Measurement, error) {
			ran.Add(1)
			return open.pass(ctx, task)
		})
		service.until(t, "leases", func() bool { return len(service.leases) == 3 })
		service.revoke(2, 3)
		service.untilResults(t, 2)
		close(open)
		service.untilResults(t, 3)
		if ran.Load() != 1 || service.results[2].GetFailure() == nil || service.results[1].GetSuccess() == nil {
			t.Errorf("%d runs, results %v", ran.Load(), service.results)
		}
	})
}

func TestATimeLimitEndsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{TimeLimitSeconds: new(2.5)})
		serve(t, service, WorkerOptions{Slots: 1}, func(ctx context.Context, task *Task) (*Measurement, error) {
			<-ctx.Done()
			return nil, errors.New("interrupted")
		})
		service.untilResults(t, 1)
		failure := service.results[1].GetFailure()
		if failure.GetMessage() != "it ran longer than its limit of 2.5s: interrupted" || !failure.GetRetryable() ||
			failure.GetRuntimeSeconds() != 2.5 {
			t.Errorf("%v", failure)
		}
	})
}

// What queues runs, too: the service may count it as begun.
func TestStopFinishesAndReportsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 10, &Task{})
		worker := serve(t, service, WorkerOptions{Slots: 1, Prefetch: 3}, func(context.Context, *Task) (*Measurement, error) {
			time.Sleep(time.Minute) // Longer than a lease: they are renewed while the worker stops.
			return nil, nil
		})
		service.until(t, "leases", func() bool { return len(service.leases) == 4 })
		worker.stop(t)
		if err := <-worker.served; err != nil {
			t.Error(err)
		}
		if len(service.results) != 4 || len(service.leases) != 0 || len(service.waiting) != 6 {
			t.Errorf("%d results, %d leases, %d tasks wait", len(service.results), len(service.leases), len(service.waiting))
		}
		last := service.arrived[len(service.arrived)-1].request.(*uwfqv1.NextTaskRequest)
		if !last.GetLeaving() {
			t.Errorf("the last request is %v", last)
		}
	})
}

func TestTheEndOfTheContextStopsAWorkerToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		worker := NewWorker(service.client(t), WorkerOptions{Slots: 1})
		worker.Handle("", func(ctx context.Context, _ *Task) (*Measurement, error) {
			cancel()
			time.Sleep(time.Minute)
			if ctx.Value(key{}) != "value" {
				t.Error("the handler's context has lost the values of the worker's")
			}
			return nil, ctx.Err()
		})
		if err := worker.Serve(ctx); err != nil {
			t.Error(err)
		}
		if service.results[1].GetSuccess() == nil {
			t.Errorf("the task was not finished: %v", service.results[1])
		}
	})
}

// Nothing is left behind at the service, not even what a broken poll was granted.
func TestStopFetchesLeasesWhoseAnswerWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 3, &Task{})
		service.lose("NextTask", 1000)
		var ran atomic.Int32
		worker := serve(t, service, WorkerOptions{Slots: 2}, func(context.Context, *Task) (*Measurement, error) {
			ran.Add(1)
			return nil, nil
		})
		service.until(t, "leases", func() bool { return len(service.leases) == 2 })
		service.update(func() { clear(service.faults) })
		worker.stop(t)
		if ran.Load() != 2 || len(service.leases) != 0 || len(service.waiting) != 1 {
			t.Errorf("%d runs, %d leases, %d tasks wait", ran.Load(), len(service.leases), len(service.waiting))
		}
	})
}

// What runs is reported as a retryable failure, what was not begun goes back.
func TestStopGivesUpAfterItsGrace(t *testing.T) {
	for name, stop := range map[string]func(*testing.T, *serving){
		"of the option": func(t *testing.T, worker *serving) { worker.stopWithGrace() },
		"of the call": func(t *testing.T, worker *serving) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := worker.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Stop: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := newFakeService(t)
				service.addJob("j", 4, &Task{})
				deaf := gate(make(chan struct{}))
				defer close(deaf)
				worker := serve(t, service, WorkerOptions{Slots: 2, Prefetch: 2, Grace: 5 * time.Second},
					func(ctx context.Context, task *Task) (*Measurement, error) {
						if task.GetTaskIndex() == 0 {
							<-deaf // Does not heed its context.
						}
						return hold(ctx, task)
					})
				service.until(t, "leases", func() bool { return len(service.leases) == 4 })
				began := time.Now()
				stop(t, worker)
				if err := <-worker.served; err != nil {
					t.Error(err)
				}
				// A second more, for the handler that does not heed its context.
				if took := time.Since(began); took != 6*time.Second {
					t.Errorf("it took %v", took)
				}
				for leaseID, result := range service.results {
					failure := result.GetFailure()
					if leaseID > 2 || !failure.GetRetryable() || failure.GetMessage() != errGivenUp.Error() {
						t.Errorf("lease %d: %v", leaseID, result)
					}
				}
				if len(service.results) != 2 || len(service.waiting) != 2 || len(service.leases) != 0 {
					t.Errorf("%d results, %d leases, %d tasks wait", len(service.results), len(service.leases), len(service.waiting))
				}
				if failed := worker.Stats().Failed; failed != 2 {
					t.Errorf("%d failures counted", failed)
				}
			})
		})
	}
}

// A poll may be answered just when the worker gives up; the goodbye hands its leases back.
func TestNothingIsBegunAfterGivingUp(t *testing.T) {
	ledger := newLedger(2, 2)
	ledger.grant([]*Task{{LeaseId: 1, Slots: 1}, {LeaseId: 2, Slots: 1}}, time.Now())
	if first := ledger.start(time.Now()); first.task.GetLeaseId() != 1 {
		t.Errorf("started %v", first)
	}
	if ran := ledger.giveUp(errGivenUp, time.Now()); len(ran) != 1 {
		t.Errorf("given up: %v", ran)
	}
	ledger.grant([]*Task{{LeaseId: 3, Slots: 1}}, time.Now())
	if next := ledger.start(time.Now()); next != nil || ledger.busy() {
		t.Errorf("started %v", next)
	}
	if results := ledger.takeResults(); len(results) != 1 || results[0].GetLeaseId() != 1 {
		t.Errorf("results %v", results)
	}
}

// SIGTERM lets the worker finish; whoever is in a hurry sends another signal.
func TestASignalDrainsAndASecondOneGivesUp(t *testing.T) {
	service := newFakeService(t)
	service.addJob("j", 1, &Task{})
	started, cause := make(chan struct{}), make(chan error, 1)
	worker := NewWorker(service.client(t), WorkerOptions{Slots: 1, Logger: slog.New(slog.DiscardHandler)})
	worker.HandleOthers(func(ctx context.Context, _ *Task) (*Measurement, error) {
		close(started)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	served := make(chan error, 1)
	go func() { served <- worker.Run(t.Context()) }()
	<-started
	for index, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if index == 1 && len(served)+len(cause) > 0 {
			t.Error("the first signal did not let it finish")
		}
		if err := syscall.Kill(syscall.Getpid(), number); err != nil {
			t.Fatal(err)
		}
		<-worker.session.polling.Done()
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-cause; !errors.Is(err, errGivenUp) {
		t.Errorf("cause %v", err)
	}
}

func TestAnIdleWorkerStopsAtOnceThoughItsPollIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		worker := serve(t, service, WorkerOptions{Slots: 1, PollWait: time.Hour}, nothing)
		service.until(t, "a poll", func() bool { return len(service.pollsLocked()) == 1 })
		began := time.Now()
		worker.stop(t)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// An idle worker does not wait for long for a service that is away; one with results does.
func TestPatienceWithAServiceThatIsAway(t *testing.T) {
	for name, test := range map[string]struct {
		tasks          int
		hurry          bool
		least, longest time.Duration
	}{
		"idle":                      {0, false, time.Second, 4 * time.Second},
		"with a result":             {1, false, 30 * time.Second, 35 * time.Second},
		"with a result, in a hurry": {1, true, time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := newFakeService(t)
				service.addJob("j", test.tasks, &Task{})
				open := gate(make(chan struct{}))
				worker := serve(t, service, WorkerOptions{Slots: 1}, open.pass)
				service.until(t, "a poll", func() bool {
					return len(service.leases) == test.tasks && len(service.pollsLocked()) == 1
				})
				synctest.Wait()
				service.goAway()
				close(open)
				synctest.Wait()
				if test.hurry {
					worker.session.giveUp()
				}
				began := time.Now()
				worker.stop(t)
				if took := time.Since(began); took < test.least || took > test.longest {
					t.Errorf("it took %v", took)
				}
				service.comeBack() // For the clean-up.
			})
		})
	}
}

func TestWhatWaitingDoesNotMendEndsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.refuse("NextTask", status.Error(codes.NotFound, `pool "typo" does not exist`), 10)
		worker := serve(t, service, WorkerOptions{Pool: "typo"}, nothing)
		err := <-worker.served
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != codes.NotFound {
			t.Errorf("error %v", err)
		}
	})
}

func TestAFullServiceIsAskedWhenItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		hint := refusal(t, codes.ResourceExhausted, "full", retryIn(time.Minute))
		service.refuse("NextTask", hint, 1)
		service.addJob("j", 1, &Task{})
		serve(t, service, WorkerOptions{}, nothing)
		service.untilResults(t, 1)
		if waited := time.Since(service.began); waited < time.Minute || waited > time.Minute+time.Second {
			t.Errorf("it came back after %v", waited)
		}
	})
}

func TestAStopBeforeServeEndsItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		worker := NewWorker(service.client(t), WorkerOptions{})
		worker.HandleOthers(nothing)
		if err := worker.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := worker.Serve(t.Context()); err != nil {
			t.Error(err)
		}
		if len(service.arrived) > 0 {
			t.Errorf("it has asked: %v", service.arrived)
		}
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
		"below":  func() { NewWorker(client, WorkerOptions{Slots: -1}) },
		"for other": func() {
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
