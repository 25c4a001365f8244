package uwfq

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// Ended says whether a job has come to its end: it has succeeded, failed or been cancelled.
func Ended(job *uwfqv1.Job) bool {
	switch job.GetState() {
	case uwfqv1.JobState_JOB_STATE_SUCCEEDED,
		uwfqv1.JobState_JOB_STATE_FAILED,
		uwfqv1.JobState_JOB_STATE_CANCELLED:
		return true
	}
	return false
}

// Watch follows a job: its state now, then whenever it has changed, the last being its end.
//
// It goes on after a restart of the service (the state is then told anew).  An error is the last
// that is yielded; leaving the loop ends the call.
func (c *Client) Watch(ctx context.Context, jobID string) iter.Seq2[*uwfqv1.Job, error] {
	return func(yield func(*uwfqv1.Job, error) bool) {
		waits := newBackoff()
		for {
			over, err := c.watchOnce(ctx, jobID, func(job *uwfqv1.Job) bool {
				waits.reset()
				return yield(job, nil)
			})
			if over {
				return
			}
			if ctx.Err() == nil && isTransient(err) && !c.closed() {
				if ended := sleep(ctx, waits.next(err)); ended == nil {
					continue
				}
				err = outOfTime(ctx, err)
			}
			yield(nil, err)
			return
		}
	}
}

// watchOnce follows a job over one call.  It is over when the job has ended or yield has had enough.
func (c *Client) watchOnce(
	ctx context.Context, jobID string, yield func(*uwfqv1.Job) bool,
) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress, err := c.scheduler.WatchJob(ctx, &uwfqv1.WatchJobRequest{JobId: jobID})
	if err != nil {
		return false, asError(err)
	}
	for {
		response, err := progress.Recv()
		if errors.Is(err, io.EOF) {
			err = status.Error(codes.Unavailable, "the service ended the watch before the job had ended")
		}
		if err != nil {
			return false, asError(err)
		}
		if job := response.GetJob(); !yield(job) || Ended(job) {
			return true, nil
		}
	}
}

// Wait waits for a job's end, and returns it as it ended; [Check] tells whether it has succeeded.
func (c *Client) Wait(ctx context.Context, jobID string) (*uwfqv1.Job, error) {
	var last *uwfqv1.Job
	for job, err := range c.Watch(ctx, jobID) {
		if err != nil {
			return nil, err
		}
		last = job
	}
	return last, nil
}
