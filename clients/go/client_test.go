package uwfq

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// The copy is here because a Go module can embed nothing from outside of it.
func TestServiceConfigIsTheSharedOne(t *testing.T) {
	shared, err := os.ReadFile("../service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(shared) != serviceConfig {
		t.Error("service_config.json differs from ../service_config.json: copy it anew")
	}
}

// Each submission has a request id of its own, which its retries share.
func TestARetriedSubmissionSubmitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		client := service.client(t)
		service.lose("SubmitJob", 2)
		request := &uwfqv1.SubmitJobRequest{User: "alice"}
		response, err := client.Submit(t.Context(), request)
		if err != nil || !response.GetDuplicate() {
			t.Errorf("the third try got %v, %v; it should have found the job there", response, err)
		}
		if request.GetRequestId() != "" {
			t.Error("the caller's message was changed: submitted again it would not be another job")
		}
		if _, err := client.Submit(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, each := range received[*uwfqv1.SubmitJobRequest](service) {
			ids = append(ids, each.GetRequestId())
		}
		if len(ids) != 4 || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] == ids[3] || ids[0] == "" {
			t.Errorf("request ids %q; wanted three alike and another one", ids)
		}
	})
}

// A name makes a submission safe by itself; a new request id would look like other content.
func TestAJobIDNeedsNoRequestID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		request := &uwfqv1.SubmitJobRequest{User: "alice", JobId: "nightly"}
		if _, err := service.client(t).Submit(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if id := received[*uwfqv1.SubmitJobRequest](service)[0].GetRequestId(); id != "" {
			t.Errorf("request id %q", id)
		}
	})
}

// A server that ends cancels the calls that have just come to it.
func TestOnlyWhatAServiceThatEndsSaysIsTriedAgain(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		synctest.Test(t, func(t *testing.T) {
			service := newFakeService(t)
			service.addJob("j", 1, &Task{})
			service.refuse("GetJob", status.Error(code, "no"), 1)
			_, err := service.client(t).Get(t.Context(), &uwfqv1.GetJobRequest{JobId: "j"})
			tries := len(received[*uwfqv1.GetJobRequest](service))
			ends := code == codes.Unavailable || code == codes.Canceled
			if ends && (err != nil || tries != 2) {
				t.Errorf("%v: error %v after %d tries, wanted none after 2", code, err, tries)
			}
			if !ends && (status.Code(err) != code || tries != 1) {
				t.Errorf("%v: error %v after %d tries, wanted the refusal after 1", code, err, tries)
			}
		})
	}
}

func TestHoweverManyCallsAreUnderWayAllAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		service.refuse("GetJob", errUnavailable, 100)
		client := service.client(t)
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() {
				if _, err := client.Get(t.Context(), &uwfqv1.GetJobRequest{JobId: "j"}); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})
}

// gRPC by itself keeps a quarter of a MiB of a call, to repeat it.
func TestALargeSubmissionIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.refuse("SubmitJob", errUnavailable, 1)
		stage := Stage("scan", 1)
		stage.Payload = make([]byte, 1<<20)
		request := &uwfqv1.SubmitJobRequest{User: "alice", Stages: []*uwfqv1.StageSpec{stage}}
		if _, err := service.client(t).Submit(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTriesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.refuse("GetJob", errUnavailable, 100)
		_, err := service.client(t).Get(t.Context(), &uwfqv1.GetJobRequest{JobId: "j"})
		if tries := len(received[*uwfqv1.GetJobRequest](service)); status.Code(err) != codes.Unavailable || tries != 5 {
			t.Errorf("error %v after %d tries, wanted Unavailable after 5", err, tries)
		}
		if err.Error() != "uwfq: going down (Unavailable)" {
			t.Errorf("the text is not the service's own: %v", err)
		}
	})
}

// While nobody listens, a call waits, for as long as its context lets it.
func TestACallWaitsForARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		client := service.client(t)
		service.goAway()
		time.AfterFunc(50*time.Second, service.comeBack)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := client.Get(ctx, &uwfqv1.GetJobRequest{JobId: "j"}); err != nil {
			t.Error(err)
		}
	})
}

func TestADeadlineEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		client := service.client(t)
		service.goAway()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := client.Get(ctx, &uwfqv1.GetJobRequest{JobId: "j"})
		if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestJobsAreListedPageByPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		for _, jobID := range []string{"a", "b", "c", "d"} {
			service.addJob(jobID, 1, &Task{})
		}
		client := service.client(t)
		var seen []string
		for job, err := range client.Jobs(t.Context(), &uwfqv1.ListJobsRequest{PageToken: "x"}) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, job.GetJobId())
			if len(seen) == 2 {
				break
			}
		}
		if !slices.Equal(seen, []string{"b", "c"}) {
			t.Errorf("saw %v", seen)
		}
		if pages := len(received[*uwfqv1.ListJobsRequest](service)); pages != 2 {
			t.Errorf("%d pages were fetched; only those that are reached should be", pages)
		}
	})
}

func TestAPageThatFailsEndsTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.refuse("ListJobs", status.Error(codes.PermissionDenied, "no"), 1)
		var errs []error
		for job, err := range service.client(t).Jobs(t.Context(), &uwfqv1.ListJobsRequest{}) {
			if job != nil {
				t.Errorf("job %v", job)
			}
			errs = append(errs, err)
		}
		if len(errs) != 1 || status.Code(errs[0]) != codes.PermissionDenied {
			t.Errorf("errors %v", errs)
		}
	})
}

// gRPC takes nil for a message that says nothing; so does what makes a copy of its request.
func TestNoRequestIsAnEmptyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		client := service.client(t)
		for job, err := range client.Jobs(t.Context(), nil) {
			if err != nil || job.GetJobId() != "j" {
				t.Errorf("job %v, error %v", job, err)
			}
		}
		if _, err := client.Submit(t.Context(), nil); err != nil {
			t.Error(err)
		}
		for _, err := range client.Users(t.Context(), nil) {
			if status.Code(err) != codes.Unimplemented { // This service has none.
				t.Error(err)
			}
		}
	})
}

func TestAWatchShowsEachChangeAndSurvivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		var states []uwfqv1.JobState
		for job, err := range service.client(t).Watch(t.Context(), "j") {
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, job.GetState())
			switch len(states) {
			case 1:
				service.goAway()
				time.AfterFunc(10*time.Second, func() {
					service.setState("j", uwfqv1.JobState_JOB_STATE_RUNNING)
					service.comeBack()
				})
			case 2:
				service.setState("j", uwfqv1.JobState_JOB_STATE_SUCCEEDED)
			}
		}
		if !slices.Equal(states, []uwfqv1.JobState{
			uwfqv1.JobState_JOB_STATE_WAITING,
			uwfqv1.JobState_JOB_STATE_RUNNING,
			uwfqv1.JobState_JOB_STATE_SUCCEEDED,
		}) {
			t.Errorf("saw %v", states)
		}
	})
}

func TestLeavingAWatchEndsItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		for _, err := range service.client(t).Watch(t.Context(), "j") {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		// The service would wait for a call that is still open, and the bubble for the service.
		service.server.GracefulStop()
	})
}

func TestAClosedClientEndsWhatRunsOverIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 0, &Task{})
		client := service.client(t)
		worker := NewWorker(client, WorkerOptions{Logger: slog.New(slog.DiscardHandler)})
		worker.HandleOthers(nothing)
		time.AfterFunc(time.Second, func() { _ = client.Close() })
		waited := make(chan error, 1)
		go func() {
			_, err := client.Wait(t.Context(), "j")
			waited <- err
		}()
		if err := worker.Serve(t.Context()); status.Code(err) != codes.Canceled {
			t.Errorf("Serve: %v", err)
		}
		if err := <-waited; status.Code(err) != codes.Canceled {
			t.Errorf("Wait: %v", err)
		}
		if took := time.Since(service.began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAWaitReturnsTheJobAsItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService(t)
		service.addJob("j", 1, &Task{})
		time.AfterFunc(time.Second, func() { service.setState("j", uwfqv1.JobState_JOB_STATE_FAILED) })
		job, err := service.client(t).Wait(t.Context(), "j")
		if err != nil || job.GetState() != uwfqv1.JobState_JOB_STATE_FAILED {
			t.Errorf("got %v, %v", job, err)
		}
		var failed *JobError
		if err := Check(job); !errors.As(err, &failed) || err.Error() != `uwfq: job "j": failed` {
			t.Errorf("Check: %v", err)
		}
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			service := newFakeService(t)
			service.addJob("j", 1, &Task{})
			client := service.client(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if away {
				time.AfterFunc(time.Second, service.goAway)
			}
			if _, err := client.Wait(ctx, "j"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("service away %v: error %v", away, err)
			}
		})
	}
}

// So does a service that wants TLS, or a certificate, and gRPC says only that it was closed.
func TestAConnectionThatIsClosedAtOnceSaysWhatThatMayMean(t *testing.T) {
	hasty, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hasty.Close()
	go func() {
		for {
			connection, err := hasty.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	client, err := New(hasty.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// Longer, and longer again, if there was no time to connect in.
	for timeout := time.Second; ; timeout *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err = client.Get(ctx, &uwfqv1.GetJobRequest{JobId: "j"})
		cancel()
		if err != nil && strings.Contains(err.Error(), "does the service want TLS") {
			return
		}
		if timeout > 10*time.Second {
			t.Fatal(err)
		}
	}
}

func TestAClientMayBeClosedTwice(t *testing.T) {
	client, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTargetsAreChecked(t *testing.T) {
	if _, err := New("dns://host:port:more/%zz"); err == nil {
		t.Error("no error")
	}
}
