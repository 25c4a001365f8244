package uwfq

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/proto"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// Client is a connection to the service.  Any number of goroutines may share it.
//
// Its methods take and return the protocol's messages, one method for each of its calls; Jobs,
// Users, Watch and Wait make several calls for you.  All errors about the service are [*Error].
type Client struct {
	connection *grpc.ClientConn
	scheduler  uwfqv1.SchedulerServiceClient
	admin      uwfqv1.AdminServiceClient
}

// New makes a client of the service at target: "host:port", or any target that gRPC knows.
//
// It connects with the first call, not now; the error is about the options alone.
func New(target string, options ...Option) (*Client, error) {
	connection, err := grpc.NewClient(target, dialOptions(options)...)
	if err != nil {
		return nil, fmt.Errorf("uwfq: target %q: %w", target, err)
	}
	return &Client{
		connection: connection,
		scheduler:  uwfqv1.NewSchedulerServiceClient(connection),
		admin:      uwfqv1.NewAdminServiceClient(connection),
	}, nil
}

// Close drops the connection.  Calls under way fail, workers end; jobs go on.  Its error is nil, the
// second time, too.
func (c *Client) Close() error {
	_ = c.connection.Close() // All that it could say is that it was closed before.
	return nil
}

// closed says whether Close was called: what fails then fails for ever.
func (c *Client) closed() bool {
	return c.connection.GetState() == connectivity.Shutdown
}

// copyOf is a copy to change; of nil, which gRPC takes for a message that says nothing, such a message.
func copyOf[Request any, Message interface {
	*Request
	proto.Message
}](request Message) Message {
	copied := Message(new(Request))
	proto.Merge(copied, request)
	return copied
}

// ask makes one call and gives its error a type.
func ask[Request, Response any](
	ctx context.Context,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
	request *Request,
	options ...grpc.CallOption,
) (*Response, error) {
	response, err := method(ctx, request, options...)
	if err != nil {
		return nil, asError(err)
	}
	return response, nil
}

// Submit admits a job of a user; workers choose a handler by its kind.
//
// With neither a job id nor a request id the submission gets a request id of its own, so that a
// retry after a lost answer does not submit twice.  Give one of the two yourself to make your own
// repetitions safe, after a crash of your program say.
func (c *Client) Submit(
	ctx context.Context, request *uwfqv1.SubmitJobRequest,
) (*uwfqv1.SubmitJobResponse, error) {
	if request.GetJobId() == "" && request.GetRequestId() == "" {
		request = copyOf(request) // The caller may submit the same message as another job.
		request.RequestId = rand.Text()
	}
	return ask(ctx, c.scheduler.SubmitJob, request)
}

// Stage is a stage that is cut into so many tasks of one slot each, which can start at once.  Its
// other fields are for the caller to set.
func Stage(name string, tasks uint32) *uwfqv1.StageSpec {
	return &uwfqv1.StageSpec{
		Stage: name,
		Cut:   &uwfqv1.StageSpec_Tasks{Tasks: &uwfqv1.TaskList{Count: tasks}},
	}
}

// AddStages adds stages to an open job.  A stage that the job has already is left as it is.
func (c *Client) AddStages(
	ctx context.Context, request *uwfqv1.AddStagesRequest,
) (*uwfqv1.AddStagesResponse, error) {
	return ask(ctx, c.scheduler.AddStages, request)
}

// SplitStage tells how AddStages would cut a stage now; nothing is admitted.
func (c *Client) SplitStage(
	ctx context.Context, request *uwfqv1.SplitStageRequest,
) (*uwfqv1.SplitStageResponse, error) {
	return ask(ctx, c.scheduler.SplitStage, request)
}

// DropStages says that waiting tasks of some stages will never run.  For an engine that places its
// tasks itself; FailedPrecondition for any other job.
func (c *Client) DropStages(
	ctx context.Context, request *uwfqv1.DropStagesRequest,
) (*uwfqv1.DropStagesResponse, error) {
	return ask(ctx, c.scheduler.DropStages, request)
}

// CloseJob says that no more stages will come.
func (c *Client) CloseJob(
	ctx context.Context, request *uwfqv1.CloseJobRequest,
) (*uwfqv1.CloseJobResponse, error) {
	return ask(ctx, c.scheduler.CloseJob, request)
}

// Cancel cancels a job; one that has ended stays as it ended.  Waiting tasks go at once, what runs
// is told within a third of its lease.
func (c *Client) Cancel(
	ctx context.Context, request *uwfqv1.CancelJobRequest,
) (*uwfqv1.CancelJobResponse, error) {
	return ask(ctx, c.scheduler.CancelJob, request)
}

// Get tells how a job stands.  NotFound when it was never submitted, or is forgotten.
func (c *Client) Get(
	ctx context.Context, request *uwfqv1.GetJobRequest,
) (*uwfqv1.GetJobResponse, error) {
	return ask(ctx, c.scheduler.GetJob, request)
}

// Explain tells why a job waits: who is ahead, its position, its predicted start and finish.
func (c *Client) Explain(
	ctx context.Context, request *uwfqv1.ExplainJobRequest,
) (*uwfqv1.ExplainJobResponse, error) {
	return ask(ctx, c.scheduler.ExplainJob, request)
}

// List is one page of jobs, newest first; see [Client.Jobs] for all of them.
func (c *Client) List(
	ctx context.Context, request *uwfqv1.ListJobsRequest,
) (*uwfqv1.ListJobsResponse, error) {
	return ask(ctx, c.scheduler.ListJobs, request)
}

// Jobs goes through the jobs that request asks for, newest first, from its page token to the end.  A
// page is fetched when it is reached.  An error is the last that is yielded.
func (c *Client) Jobs(
	ctx context.Context, request *uwfqv1.ListJobsRequest,
) iter.Seq2[*uwfqv1.Job, error] {
	return pages(request.GetPageToken(), func(token string) ([]*uwfqv1.Job, string, error) {
		page := copyOf(request)
		page.PageToken = token
		response, err := c.List(ctx, page)
		return response.GetJobs(), response.GetNextPageToken(), err
	})
}

// pages goes through the items of page after page; fetch returns the next one's token with a page.
func pages[Item any](
	token string, fetch func(token string) ([]*Item, string, error),
) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		for token := token; ; {
			items, next, err := fetch(token)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// NextTask asks for work, or (for engines that place tasks themselves) for the ranking.  A [Worker]
// does it for you.
func (c *Client) NextTask(
	ctx context.Context, request *uwfqv1.NextTaskRequest,
) (*uwfqv1.NextTaskResponse, error) {
	return ask(ctx, c.scheduler.NextTask, request)
}

// TaskDone reports how attempts ended; each result counts once.  A [Worker] does it for you.
func (c *Client) TaskDone(
	ctx context.Context, request *uwfqv1.TaskDoneRequest,
) (*uwfqv1.TaskDoneResponse, error) {
	return ask(ctx, c.scheduler.TaskDone, request)
}

// RenewLeases extends leases, and tells which of them are void.  A [Worker] does it for you.
func (c *Client) RenewLeases(
	ctx context.Context, request *uwfqv1.RenewLeasesRequest,
) (*uwfqv1.RenewLeasesResponse, error) {
	return ask(ctx, c.scheduler.RenewLeases, request)
}
