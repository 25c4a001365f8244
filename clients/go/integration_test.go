package uwfq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	uwfq "github.com/uwfq/uwfq/clients/go"
	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// server is a real service on a data directory and a port of its own.
type server struct {
	target string
	data   string
	args   []string
	log    bytes.Buffer

	process *exec.Cmd
}

// serveCommand is the uwfq command; without one the test is skipped, or fails in CI.
func serveCommand(t *testing.T) string {
	t.Helper()
	command := os.Getenv("UWFQ_COMMAND")
	if command == "" {
		command = "../../.venv/bin/uwfq"
	}
	path, err := exec.LookPath(command)
	if err != nil {
		if inCI() {
			t.Fatalf("no uwfq to test against (UWFQ_COMMAND, else ../../.venv/bin/uwfq): %v", err)
		}
		t.Skipf("NOT TESTED against a real service: no uwfq (UWFQ_COMMAND, else ../../.venv/bin/uwfq): %v", err)
	}
	return path
}

// inCI tells whether CI is set to 1, true or yes, as for all other tests of the repository.
func inCI() bool {
	switch strings.ToLower(os.Getenv("CI")) {
	case "1", "true", "yes":
		return true
	}
	return false
}

// startServer starts a service with these settings, "key=value" each.
func startServer(t *testing.T, settings ...string) *server {
	t.Helper()
	command := serveCommand(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{target: listener.Addr().String(), data: t.TempDir()}
	if err := listener.Close(); err != nil { // The service gets the port that was free.
		t.Fatal(err)
	}
	s.args = []string{command, "serve", "--listen", s.target, "--data", s.data, "--log-level", "warning"}
	for _, setting := range settings {
		s.args = append(s.args, "--set", setting)
	}
	s.start(t)
	t.Cleanup(func() {
		s.kill(t)
		if t.Failed() {
			t.Logf("the service's log:\n%s", s.log.String())
		}
	})
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends it as a crash would: kill -9.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.process.Wait() // It was killed, says its error.
}

func connect(t *testing.T, target string) *uwfq.Client {
	t.Helper()
	client, err := uwfq.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// within is the time that any step may take, with a machine that is busy otherwise.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// work serves in the background until the test ends.
func work(t *testing.T, worker *uwfq.Worker) {
	served := make(chan error, 1)
	go func() { served <- worker.Serve(context.Background()) }()
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = worker.Stop(over)
		if err := <-served; err != nil {
			t.Errorf("the worker has ended: %v", err)
		}
	})
}

func submit(t *testing.T, client *uwfq.Client, kind string, stages ...*uwfqv1.StageSpec) string {
	t.Helper()
	response, err := client.Submit(within(t), &uwfqv1.SubmitJobRequest{User: "alice", Kind: kind, Stages: stages})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetJobId()
}

func wait(t *testing.T, client *uwfq.Client, jobID string) *uwfqv1.Job {
	t.Helper()
	job, err := client.Wait(within(t), jobID)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestAJobGoesFromSubmissionToItsEnd(t *testing.T) {
	client := connect(t, startServer(t).target)
	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 3, Prefetch: 3})
	worker.Handle("sum", func(_ context.Context, task *uwfq.Task) (*uwfq.Measurement, error) {
		if task.GetStage() == "scan" && task.GetRange() == nil {
			return nil, uwfq.Permanent(errors.New("no range"))
		}
		return &uwfq.Measurement{Rows: new(uint64(3))}, nil
	})
	work(t, worker)
	scan := &uwfqv1.StageSpec{
		Stage:                    "scan",
		Cut:                      &uwfqv1.StageSpec_Input{Input: &uwfqv1.InputDescriptor{UnitSizes: []uint64{5, 5, 5, 5}}},
		EstimatedWorkSlotSeconds: new(3.0),
	}
	merge := uwfq.Stage("merge", 2)
	merge.After = []string{"scan"}
	job := wait(t, client, submit(t, client, "sum", scan, merge))
	if err := uwfq.Check(job); err != nil {
		t.Fatal(err)
	}
	if scan, merge := job.GetStages()[0], job.GetStages()[1]; scan.GetDone() != 4 || merge.GetDone() != 2 {
		t.Errorf("done: %v", job.GetStages())
	}
}

func TestFailuresAreTriedAgainUntilOneIsPermanent(t *testing.T) {
	client := connect(t, startServer(t, "scheduling.retry_backoff=0.05").target)
	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 1})
	worker.HandleOthers(func(_ context.Context, task *uwfq.Task) (*uwfq.Measurement, error) {
		if task.GetAttempt() == 1 {
			panic("the first attempt")
		}
		return nil, uwfq.Permanent(errors.New("no such column"))
	})
	work(t, worker)
	job := wait(t, client, submit(t, client, "", uwfq.Stage("scan", 1)))
	var failed *uwfq.JobError
	if err := uwfq.Check(job); !errors.As(err, &failed) || !strings.Contains(err.Error(), "no such column") {
		t.Errorf("Check: %v", err)
	}
	if job.GetFailedAttempts() != 2 {
		t.Errorf("%d failed attempts", job.GetFailedAttempts())
	}
}

func TestCancellingAJobCancelsItsHandlers(t *testing.T) {
	client := connect(t, startServer(t).target)
	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 2})
	started, stopped := make(chan struct{}), make(chan error, 1)
	worker.HandleOthers(func(ctx context.Context, _ *uwfq.Task) (*uwfq.Measurement, error) {
		close(started)
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	work(t, worker)
	jobID := submit(t, client, "", uwfq.Stage("scan", 1))
	<-started
	if _, err := client.Cancel(within(t), &uwfqv1.CancelJobRequest{JobId: jobID, Reason: "a typo"}); err != nil {
		t.Fatal(err)
	}
	select {
	case cause := <-stopped:
		if cause.Error() != "its job was cancelled or has failed, or its time is up" {
			t.Errorf("cause %v", cause)
		}
	case <-within(t).Done():
		t.Error("the handler was not told")
	}
	if job := wait(t, client, jobID); job.GetCause() != "a typo" {
		t.Errorf("cause of the job: %q", job.GetCause())
	}
}

// With kill -9 in the middle, all tasks are done, each by its first attempt.
func TestACrashOfTheServiceLosesAndRepeatsNothing(t *testing.T) {
	service := startServer(t)
	client := connect(t, service.target)
	const tasks = 60
	var mu sync.Mutex
	ran := map[uint32]int{}
	half, on := make(chan struct{}), make(chan struct{})
	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 3, Prefetch: 6})
	worker.HandleOthers(func(_ context.Context, task *uwfq.Task) (*uwfq.Measurement, error) {
		mu.Lock()
		ran[task.GetTaskIndex()]++
		if len(ran) == tasks/2 {
			close(half)
		}
		late := len(ran) >= tasks/2
		mu.Unlock()
		if late {
			<-on // These run while the service is away.
		}
		return nil, nil
	})
	work(t, worker)
	jobID := submit(t, client, "", uwfq.Stage("scan", tasks))
	<-half
	service.kill(t)
	close(on)
	service.start(t)
	job := wait(t, client, jobID)
	if err := uwfq.Check(job); err != nil {
		t.Fatal(err)
	}
	if done := job.GetStages()[0].GetDone(); done != tasks || job.GetFailedAttempts() != 0 {
		t.Errorf("%d tasks done, %d failed attempts", done, job.GetFailedAttempts())
	}
	for index := range uint32(tasks) {
		if ran[index] != 1 {
			t.Errorf("task %d ran %d times", index, ran[index])
		}
	}
}

// What the stopping worker held is done, what it gave up or had not begun is free for others at once.
func TestAStoppingWorkerLeavesNothingBehind(t *testing.T) {
	client := connect(t, startServer(t).target)
	first := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 1, Prefetch: 3})
	started := make(chan struct{}, 8)
	first.HandleOthers(func(ctx context.Context, _ *uwfq.Task) (*uwfq.Measurement, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	work(t, first)
	jobID := submit(t, client, "", uwfq.Stage("scan", 4))
	<-started
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Stop(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v", err)
	}
	pools, err := client.ListPools(within(t), &uwfqv1.ListPoolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if pool := pools.GetPools()[0]; pool.GetWorkers() != 0 || pool.GetRunningSlots() != 0 {
		t.Errorf("the pool still counts on it: %v", pool)
	}
	second := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 1})
	second.HandleOthers(func(context.Context, *uwfq.Task) (*uwfq.Measurement, error) { return nil, nil })
	work(t, second)
	if err := uwfq.Check(wait(t, client, jobID)); err != nil {
		t.Error(err)
	}
}

func TestRefusalsOfTheServiceAreTyped(t *testing.T) {
	client := connect(t, startServer(t, "limits.max_jobs_per_user=1").target)
	stage := []*uwfqv1.StageSpec{uwfq.Stage("scan", 1)}
	ask := func(request *uwfqv1.SubmitJobRequest) *uwfq.Error {
		t.Helper()
		_, err := client.Submit(within(t), request)
		var refused *uwfq.Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("not typed: %v", err)
		}
		return refused
	}
	if refused := ask(&uwfqv1.SubmitJobRequest{Stages: stage}); refused.Code != codes.InvalidArgument ||
		refused.Reason != "INVALID_FIELD" || len(refused.FieldViolations) != 1 || refused.FieldViolations[0].Field != "user" {
		t.Errorf("no user: %+v", refused)
	}
	if refused := ask(&uwfqv1.SubmitJobRequest{User: "alice", Stages: stage, Pool: "typo"}); refused.Code != codes.NotFound ||
		refused.Resource == nil || *refused.Resource != (uwfq.Resource{Type: "pool", Name: "typo"}) {
		t.Errorf("no pool: %+v", refused)
	}
	if refused := ask(&uwfqv1.SubmitJobRequest{User: "alice", Stages: stage, JobId: "j"}); refused != nil {
		t.Errorf("the first job: %v", refused)
	}
	if refused := ask(&uwfqv1.SubmitJobRequest{User: "alice", Stages: stage}); refused.Code != codes.ResourceExhausted ||
		refused.RetryAfter != time.Second {
		t.Errorf("the second job: %+v", refused)
	}
	if refused := ask(&uwfqv1.SubmitJobRequest{User: "bob", Stages: stage, JobId: "j"}); refused.Code != codes.AlreadyExists ||
		refused.Resource == nil || refused.Resource.Type != "job" {
		t.Errorf("a job id that is taken: %+v", refused)
	}
}

func TestAnOpenJobTakesStagesUntilItIsClosed(t *testing.T) {
	client := connect(t, startServer(t).target)
	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 1})
	worker.HandleOthers(func(context.Context, *uwfq.Task) (*uwfq.Measurement, error) { return nil, nil })
	work(t, worker)
	ctx := within(t)
	response, err := client.Submit(ctx, &uwfqv1.SubmitJobRequest{User: "alice", Open: true})
	if err != nil {
		t.Fatal(err)
	}
	jobID := response.GetJobId()
	if _, err := client.AddStages(ctx, &uwfqv1.AddStagesRequest{JobId: jobID, Stages: []*uwfqv1.StageSpec{uwfq.Stage("scan", 2)}}); err != nil {
		t.Fatal(err)
	}
	if explained, err := client.Explain(ctx, &uwfqv1.ExplainJobRequest{JobId: jobID}); err != nil || explained.GetReason() == "" {
		t.Errorf("Explain: %v, %v", explained, err)
	}
	if _, err := client.CloseJob(ctx, &uwfqv1.CloseJobRequest{JobId: jobID}); err != nil {
		t.Fatal(err)
	}
	if err := uwfq.Check(wait(t, client, jobID)); err != nil {
		t.Error(err)
	}
	_, err = client.AddStages(ctx, &uwfqv1.AddStagesRequest{JobId: jobID, Stages: []*uwfqv1.StageSpec{uwfq.Stage("more", 2)}})
	if refused := new(uwfq.Error); !errors.As(err, &refused) || refused.Reason != "JOB_NOT_OPEN" {
		t.Errorf("AddStages of a closed job: %v", err)
	}
}

func TestAnEnginePlansDropsAndFinishes(t *testing.T) {
	client := connect(t, startServer(t).target)
	ctx := within(t)
	split, err := client.SplitStage(ctx, &uwfqv1.SplitStageRequest{User: "alice", Stage: uwfq.Stage("scan", 3)})
	if err != nil || split.GetSplit().GetTaskCount() != 3 {
		t.Errorf("SplitStage: %v, %v", split, err)
	}
	poll := &uwfqv1.NextTaskRequest{WorkerId: "engine", Slots: 2, FreeSlots: 2, Ranking: &uwfqv1.RankingRequest{}}
	if _, err := client.NextTask(ctx, poll); err != nil {
		t.Fatal(err)
	}
	response, err := client.Submit(ctx, &uwfqv1.SubmitJobRequest{
		User: "alice", Open: true, EngineId: "engine",
		Stages: []*uwfqv1.StageSpec{uwfq.Stage("scan", 3), uwfq.Stage("more", 3)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.DropStages(ctx, &uwfqv1.DropStagesRequest{JobId: response.GetJobId(), Stages: []string{"more"}}); err != nil {
		t.Fatal(err)
	}
	poll.Ranking.KnownVersion = 0
	ranked, err := client.NextTask(ctx, poll)
	if err != nil || len(ranked.GetRanking().GetStages()) != 1 || ranked.GetRanking().GetStages()[0].GetStage() != "scan" {
		t.Errorf("the ranking: %v, %v", ranked, err)
	}
	if _, err := client.CloseJob(ctx, &uwfqv1.CloseJobRequest{JobId: response.GetJobId(), Finished: true}); err != nil {
		t.Fatal(err)
	}
	if err := uwfq.Check(wait(t, client, response.GetJobId())); err != nil {
		t.Error(err)
	}
}

func TestOperatorsSetUsers(t *testing.T) {
	client := connect(t, startServer(t).target)
	ctx := within(t)
	for _, user := range []string{"alice", "bob", "carol"} {
		response, err := client.SetUser(ctx, &uwfqv1.SetUserRequest{User: user, Weight: new(2.5)})
		if err != nil || response.GetUser().GetWeight() != 2.5 {
			t.Errorf("SetUser: %v, %v", response, err)
		}
	}
	var seen []string
	for user, err := range client.Users(ctx, &uwfqv1.ListUsersRequest{PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, user.GetUser())
	}
	if !slices.Equal(seen, []string{"alice", "bob", "carol"}) {
		t.Errorf("Users: %v", seen)
	}
	if response, err := client.GetPool(ctx, &uwfqv1.GetPoolRequest{}); err != nil || response.GetPool().GetPolicy() != "uwfq" {
		t.Errorf("GetPool: %v, %v", response, err)
	}
}

// readmePrograms builds the programs of the README, with another target, and returns their paths.
func readmePrograms(t *testing.T, target string) map[string]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n// (\\w+)\\.go\n(.*?)```").FindAllSubmatch(readme, -1)
	programs := map[string]string{}
	for _, block := range blocks {
		name, source := string(block[1]), string(block[2])
		if !strings.Contains(source, `"127.0.0.1:7170"`) {
			t.Errorf("%s.go does not use the default target", name)
		}
		program := filepath.Join(t.TempDir(), name)
		source = strings.Replace(source, "127.0.0.1:7170", target, 1)
		if err := os.WriteFile(program+".go", []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command("go", "build", "-o", program, program+".go").CombinedOutput(); err != nil {
			t.Fatalf("%s.go: %v\n%s", name, err, output)
		}
		programs[name] = program
	}
	return programs
}

func TestTheReadmeDoesWhatItSays(t *testing.T) {
	service := startServer(t)
	programs := readmePrograms(t, service.target)
	var worked bytes.Buffer
	worker := exec.Command(programs["worker"])
	worker.Stdout, worker.Stderr = &worked, &worked
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	submitted, err := exec.CommandContext(within(t), programs["submit"]).CombinedOutput()
	if err != nil || !regexp.MustCompile(`^8 tasks took \d+\.\d\d slot-seconds\n$`).Match(submitted) {
		t.Errorf("submit.go: %v\n%s", err, submitted)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Errorf("worker.go: %v", err)
	}
	for index := range 8 {
		if line := fmt.Sprintf("alice's task %d of 8: ", index); strings.Count(worked.String(), line) != 1 {
			t.Errorf("worker.go: not one line %q in\n%s", line, worked.String())
		}
	}
}
