// Package uwfq is the Go client of UWFQ, a service that shares a compute engine fairly between users.
//
// There are two sides to it.  A [Client] submits jobs and watches them:
//
//	client, err := uwfq.New("127.0.0.1:7170")
//	...
//	job, err := client.Submit(ctx, &uwfqv1.SubmitJobRequest{
//		User: "alice", Kind: "sum", Stages: []*uwfqv1.StageSpec{uwfq.Stage("scan", 8)},
//	})
//	...
//	done, err := client.Wait(ctx, job.JobId)
//
// A [Worker] runs their tasks, each through the handler of its job's kind:
//
//	worker := uwfq.NewWorker(client, uwfq.WorkerOptions{Slots: 2})
//	worker.Handle("sum", sumRange)
//	err = worker.Run(ctx)
//
// Requests and answers are the protocol's own messages (package uwfqv1), whose comments say what
// each field means.  Work is in slot-seconds, durations of the protocol are in seconds.
//
// # Deadlines and retries
//
// A call lives as long as its context.  While the service is away, calls wait for it: give them a
// deadline.  What fails with Unavailable, or is cancelled by a service that ends, is tried up to five
// times; every call may be repeated safely, as a submission carries a name or a request id of its
// own.  A service whose certificate is not to be trusted is Unavailable at once, as far as a call comes
// upon no connection.  Nothing else is tried again: whether to come back to a full service is for the
// caller to say, and [Error.RetryAfter] tells when.
//
// # Errors
//
// What the service refuses comes back as an [*Error], with the code, the fields that were wrong and
// when to try again.  It answers to errors.As, to errors.Is with the errors of package context, and
// to status.FromError.
package uwfq
