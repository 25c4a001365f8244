package uwfq

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// fakeService has just enough of UWFQ in it to test clients against, and faults at will.
//
// It leases first come, first served, honours poll ids, and remembers what it was told.  refuse
// drops the next calls, lose carries them out and drops their answers, goAway and comeBack end it and
// start it anew with the same state, as a durable service does.
//
// It listens in memory, so that tests run under the virtual time of testing/synctest: an hour of
// renewals takes no time, and "at a third of the lease" is exact.
type fakeService struct {
	uwfqv1.UnimplementedSchedulerServiceServer
	began time.Time

	mu      sync.Mutex
	changed chan struct{}
	// away: nil.
	listener *bufconn.Listener
	server   *grpc.Server

	leaseTime time.Duration
	jobs      map[string]*uwfqv1.Job
	order     []string
	byRequest map[string]string
	waiting   []*Task
	leases    map[uint64]*Task
	lastLease uint64
	answered  map[string]answer
	revoked   map[uint64]bool
	results   map[uint64]*uwfqv1.TaskResult
	// arrived is everything that was asked, in order.
	arrived []arrival
	faults  map[string][]fault
	// silent: it takes calls, and answers none of them.
	silent bool
	// chaos draws faults of its own when a test sets it.
	chaos *rand.Rand
}

type answer struct {
	pollID uint64
	leases []*Task
}

type arrival struct {
	after   time.Duration
	request proto.Message
}

type fault struct {
	refusal error
	// lost: the call is carried out first.
	lost bool
}

var errUnavailable = status.Error(codes.Unavailable, "going down")

func newFakeService(t *testing.T) *fakeService {
	f := &fakeService{
		began:     time.Now(),
		changed:   make(chan struct{}),
		leaseTime: 30 * time.Second,
		jobs:      map[string]*uwfqv1.Job{},
		byRequest: map[string]string{},
		leases:    map[uint64]*Task{},
		answered:  map[string]answer{},
		revoked:   map[uint64]bool{},
		results:   map[uint64]*uwfqv1.TaskResult{},
		faults:    map[string][]fault{},
	}
	f.comeBack()
	t.Cleanup(f.goAway)
	return f
}

// client is a client of this service, with nothing of it replaced but the network.
func (f *fakeService) client(t *testing.T) *Client {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		f.mu.Lock()
		listener := f.listener
		f.mu.Unlock()
		if listener == nil {
			return nil, errors.New("connection refused")
		}
		return listener.DialContext(ctx)
	}
	client, err := New("passthrough:///fake", WithDialOptions(grpc.WithContextDialer(dial)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // A test may have closed it.
	return client
}

// ----------------------------------------------------------------------------------- for tests

func (f *fakeService) comeBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listener = bufconn.Listen(1 << 20)
	f.server = grpc.NewServer(grpc.UnaryInterceptor(f.intercept))
	uwfqv1.RegisterSchedulerServiceServer(f.server, f)
	go func(server *grpc.Server, listener net.Listener) { _ = server.Serve(listener) }(f.server, f.listener)
}

func (f *fakeService) goAway() {
	f.mu.Lock()
	server := f.server
	f.listener = nil
	f.mu.Unlock()
	server.Stop()
}

func (f *fakeService) refuse(method string, refusal error, times int) {
	f.fault(method, fault{refusal: refusal}, times)
}

func (f *fakeService) lose(method string, times int) {
	f.fault(method, fault{refusal: status.Error(codes.Unavailable, "lost"), lost: true}, times)
}

func (f *fakeService) fault(method string, fault fault, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range times {
		f.faults[method] = append(f.faults[method], fault)
	}
}

// addJob brings a job of so many tasks, each like the lease that is given.
func (f *fakeService) addJob(jobID string, tasks int, like *Task) {
	f.update(func() {
		f.jobs[jobID] = &uwfqv1.Job{JobId: jobID, State: uwfqv1.JobState_JOB_STATE_WAITING}
		f.order = append(f.order, jobID)
		for index := range tasks {
			lease := proto.CloneOf(like)
			lease.JobId, lease.TaskIndex, lease.TaskCount = jobID, uint32(index), uint32(tasks)
			lease.Slots, lease.Attempt = max(lease.Slots, 1), 1
			f.waiting = append(f.waiting, lease)
		}
	})
}

func (f *fakeService) setState(jobID string, state uwfqv1.JobState) {
	f.update(func() {
		job := proto.CloneOf(f.jobs[jobID])
		job.State = state
		f.jobs[jobID] = job
	})
}

func (f *fakeService) revoke(leaseIDs ...uint64) {
	f.update(func() {
		for _, leaseID := range leaseIDs {
			f.revoked[leaseID] = true
		}
	})
}

// update changes the state and wakes whoever waits for a change.
func (f *fakeService) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// until waits for a condition over the state; the limit (of virtual time) only ends a test that has
// failed.
func (f *fakeService) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	limit := time.After(time.Hour)
	for {
		f.mu.Lock()
		met, changed := condition(), f.changed
		f.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("in vain: %s", what)
		}
	}
}

func (f *fakeService) untilResults(t *testing.T, count int) {
	t.Helper()
	f.until(t, "results", func() bool { return len(f.results) >= count })
}

// look reads the state.
func look[Value any](f *fakeService, at func() Value) Value {
	f.mu.Lock()
	defer f.mu.Unlock()
	return at()
}

// received is all requests of one type so far.
func received[Request proto.Message](f *fakeService) []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return receivedLocked[Request](f)
}

func receivedLocked[Request proto.Message](f *fakeService) []Request {
	var all []Request
	for _, each := range f.arrived {
		if request, ok := each.request.(Request); ok {
			all = append(all, request)
		}
	}
	return all
}

// polls is all requests for work, without the goodbyes.
func (f *fakeService) pollsLocked() []*uwfqv1.NextTaskRequest {
	return slices.DeleteFunc(receivedLocked[*uwfqv1.NextTaskRequest](f),
		func(poll *uwfqv1.NextTaskRequest) bool { return poll.GetLeaving() })
}

// ------------------------------------------------------------------------------------ plumbing

func (f *fakeService) intercept(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	var fault fault
	var silent bool
	f.update(func() {
		f.arrived = append(f.arrived, arrival{time.Since(f.began), request.(proto.Message)})
		fault = f.nextFault(path.Base(info.FullMethod))
		silent = f.silent
	})
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if fault.refusal != nil && !fault.lost {
		return nil, fault.refusal
	}
	response, err := handler(ctx, request)
	if fault.refusal != nil {
		return nil, fault.refusal
	}
	return response, err
}

func (f *fakeService) nextFault(method string) fault {
	if f.chaos != nil && f.chaos.Float64() < 0.4 {
		return fault{errUnavailable, f.chaos.Float64() < 0.5}
	}
	faults := f.faults[method]
	if len(faults) == 0 {
		return fault{}
	}
	f.faults[method] = faults[1:]
	return faults[0]
}

// ---------------------------------------------------------------------------------- submitters

func (f *fakeService) SubmitJob(
	_ context.Context, request *uwfqv1.SubmitJobRequest,
) (*uwfqv1.SubmitJobResponse, error) {
	if known := look(f, func() string { return f.byRequest[request.GetRequestId()] }); known != "" {
		return &uwfqv1.SubmitJobResponse{JobId: known, Duplicate: true}, nil
	}
	jobID := "job-of-" + request.GetUser()
	f.addJob(jobID, 1, &Task{Kind: request.GetKind()})
	f.update(func() { f.byRequest[request.GetRequestId()] = jobID })
	return &uwfqv1.SubmitJobResponse{JobId: jobID}, nil
}

func (f *fakeService) GetJob(
	_ context.Context, request *uwfqv1.GetJobRequest,
) (*uwfqv1.GetJobResponse, error) {
	job := look(f, func() *uwfqv1.Job { return f.jobs[request.GetJobId()] })
	if job == nil {
		return nil, status.Errorf(codes.NotFound, "job %q does not exist", request.GetJobId())
	}
	return &uwfqv1.GetJobResponse{Job: job}, nil
}

// ListJobs is one job a page; a page's token is the number of the job that it begins with.
func (f *fakeService) ListJobs(
	_ context.Context, request *uwfqv1.ListJobsRequest,
) (*uwfqv1.ListJobsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := len(request.GetPageToken())
	response := &uwfqv1.ListJobsResponse{Jobs: []*uwfqv1.Job{f.jobs[f.order[index]]}}
	if index+1 < len(f.order) {
		response.NextPageToken = request.GetPageToken() + "x"
	}
	return response, nil
}

func (f *fakeService) WatchJob(
	request *uwfqv1.WatchJobRequest, stream grpc.ServerStreamingServer[uwfqv1.WatchJobResponse],
) error {
	f.update(func() { f.arrived = append(f.arrived, arrival{time.Since(f.began), request}) })
	var told *uwfqv1.Job
	for {
		f.mu.Lock()
		job, changed := f.jobs[request.GetJobId()], f.changed
		f.mu.Unlock()
		if job != told {
			told = job
			if err := stream.Send(&uwfqv1.WatchJobResponse{Job: job}); err != nil || Ended(job) {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// ------------------------------------------------------------------------------------- workers

func (f *fakeService) NextTask(
	ctx context.Context, request *uwfqv1.NextTaskRequest,
) (*uwfqv1.NextTaskResponse, error) {
	response := &uwfqv1.NextTaskResponse{}
	f.update(func() {
		response.DoneAcks = f.take(request.GetDone())
		if request.GetLeaving() {
			for leaseID, lease := range f.leases {
				f.waiting = append(f.waiting, lease)
				delete(f.leases, leaseID)
			}
		}
	})
	if request.GetLeaving() {
		return response, nil
	}
	timeout := time.After(seconds(request.GetWaitSeconds()))
	for {
		f.mu.Lock()
		response.Leases = f.grant(request)
		for leaseID := range f.revoked {
			response.RevokedLeaseIds = append(response.RevokedLeaseIds, leaseID)
		}
		clear(f.revoked)
		changed := f.changed
		f.mu.Unlock()
		if len(response.GetLeases())+len(response.GetRevokedLeaseIds()) > 0 {
			f.update(func() {})
			return response, nil
		}
		select {
		case <-changed:
		case <-timeout:
			return response, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fakeService) grant(request *uwfqv1.NextTaskRequest) []*Task {
	last := f.answered[request.GetWorkerId()]
	if last.pollID == request.GetPollId() && len(last.leases) > 0 {
		return last.leases
	}
	room := request.GetSlots() + request.GetPrefetch()
	for _, lease := range f.leases {
		room -= lease.GetSlots()
	}
	room = min(room, request.GetFreeSlots()+request.GetPrefetch())
	var leases []*Task
	for len(f.waiting) > 0 && f.waiting[0].GetSlots() <= room &&
		(request.MaxTasks == nil || len(leases) < int(request.GetMaxTasks())) {
		lease := f.waiting[0]
		f.waiting = f.waiting[1:]
		room -= lease.GetSlots()
		f.lastLease++
		lease.LeaseId, lease.ExpiresInSeconds = f.lastLease, f.leaseTime.Seconds()
		f.leases[lease.GetLeaseId()] = lease
		leases = append(leases, lease)
	}
	f.answered[request.GetWorkerId()] = answer{request.GetPollId(), leases}
	return leases
}

func (f *fakeService) take(results []*uwfqv1.TaskResult) []*uwfqv1.TaskResultAck {
	var acks []*uwfqv1.TaskResultAck
	for _, result := range results {
		leaseID := result.GetLeaseId()
		ack := &uwfqv1.TaskResultAck{LeaseId: leaseID}
		switch {
		case f.results[leaseID] != nil:
			ack.Status = uwfqv1.TaskResultStatus_TASK_RESULT_STATUS_STALE
		case f.leases[leaseID] == nil:
			ack.Status = uwfqv1.TaskResultStatus_TASK_RESULT_STATUS_UNKNOWN
		default:
			ack.Status = uwfqv1.TaskResultStatus_TASK_RESULT_STATUS_ACCEPTED
			delete(f.leases, leaseID)
			f.results[leaseID] = result
		}
		acks = append(acks, ack)
	}
	return acks
}

func (f *fakeService) TaskDone(
	_ context.Context, request *uwfqv1.TaskDoneRequest,
) (*uwfqv1.TaskDoneResponse, error) {
	response := &uwfqv1.TaskDoneResponse{}
	f.update(func() { response.Acks = f.take(request.GetResults()) })
	return response, nil
}

func (f *fakeService) RenewLeases(
	_ context.Context, request *uwfqv1.RenewLeasesRequest,
) (*uwfqv1.RenewLeasesResponse, error) {
	response := &uwfqv1.RenewLeasesResponse{}
	f.update(func() {
		for _, leaseID := range request.GetLeaseIds() {
			renewal := &uwfqv1.LeaseRenewal{LeaseId: leaseID}
			switch {
			case f.revoked[leaseID]:
				renewal.Status = uwfqv1.LeaseStatus_LEASE_STATUS_REVOKED
				delete(f.revoked, leaseID)
			case f.leases[leaseID] == nil:
				renewal.Status = uwfqv1.LeaseStatus_LEASE_STATUS_UNKNOWN
			default:
				renewal.Status = uwfqv1.LeaseStatus_LEASE_STATUS_RENEWED
				renewal.ExpiresInSeconds = f.leaseTime.Seconds()
			}
			response.Renewals = append(response.Renewals, renewal)
		}
	})
	return response, nil
}
