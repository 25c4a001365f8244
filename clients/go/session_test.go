package uwfq

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

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

// However many wait in the queue and start together: more than the service takes would be refused.
func TestStartsAreToldInMessagesThatTheServiceTakes(t *testing.T) {
	ledger := newLedger(6000, 6000)
	leases := make([]*Task, 6000)
	for i := range leases {
		leases[i] = &Task{LeaseId: uint64(i + 1), Slots: 1}
	}
	now := time.Now()
	ledger.grant(leases, now)
	for ledger.start(now.Add(time.Second)) != nil {
	}
	told := ledger.starts(now.Add(time.Second))
	ledger.announced(told)
	if rest := ledger.starts(now.Add(time.Second)); len(told) != 5000 || len(rest) != 1000 {
		t.Errorf("told of %d starts, then of %d", len(told), len(rest))
	}
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
		synctest.Wait() // The answer has arrived.
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
				if message := service.results[1].GetFailure().GetMessage(); message != "its job was cancelled or has failed, or its time is up" {
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
