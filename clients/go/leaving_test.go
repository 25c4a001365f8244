package uwfq

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// What queues runs, too: the service may count it as begun.
func TestStopFinishesAndReportsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 10, &Task{})
		worker := serve(t, service, WorkerOptions{Slots: 1, Prefetch: 3}, func(context.Context, *Task) (*Measurement, error) {
			// Longer than a lease: they are renewed while the worker stops, but not just when it ends.
			time.Sleep(59 * time.Second)
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

// An idle worker does not wait for long for a service that is away, or hangs; one with results does.
func TestPatienceWithAServiceThatDoesNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		tasks          int
		hangs          bool
		hurry          bool
		least, longest time.Duration
	}{
		"away, idle":                       {0, false, false, time.Second, 4 * time.Second},
		"away, with a result":              {1, false, false, 30 * time.Second, 35 * time.Second},
		"away, with a result, in a hurry":  {1, false, true, time.Second, 4 * time.Second},
		"hangs, idle":                      {0, true, false, time.Second, 4 * time.Second},
		"hangs, with a result":             {1, true, false, 30 * time.Second, 35 * time.Second},
		"hangs, with a result, in a hurry": {1, true, true, time.Second, 4 * time.Second},
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
				if test.hangs {
					service.update(func() { service.silent = true })
				} else {
					service.goAway()
				}
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
				if !test.hangs {
					service.comeBack() // For the clean-up.
				}
			})
		})
	}
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
