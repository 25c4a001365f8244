package uwfq

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// Error is what the service has refused, or why it could not be asked.
//
// Only Code and Message are always there.  The rest is what the service has added: see AIP-193 for
// the forms on the wire, google.rpc.BadRequest, RetryInfo, ErrorInfo and ResourceInfo.
type Error struct {
	// Code is the canonical code.
	Code codes.Code
	// Message is one sentence for people.
	Message string
	// Reason is a stable word for programs, "JOB_NOT_OPEN" say; empty when there is none.
	Reason string
	// FieldViolations are the fields of the request that were refused (InvalidArgument).
	FieldViolations []FieldViolation
	// RetryAfter is when the service invites to try again; 0: it does not say.
	RetryAfter time.Duration
	// Resource is what does not exist, or exists already; nil: it is not about one.
	Resource *Resource

	status *status.Status
}

// FieldViolation is one field of a request that the service has refused.
type FieldViolation struct {
	// Field is its path as the protocol names it, "stages[2].after" say.
	Field string
	// Description is what is wrong with it, and what would be right.
	Description string
}

// Resource is what a refusal is about.
type Resource struct {
	// Type is "job", "pool" or "stage".
	Type string
	// Name is the resource's own.
	Name string
}

// Error is one readable line: the message, the fields that it leaves out, when to come back, the code.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "uwfq: %s", e.Message)
	for _, violation := range e.FieldViolations {
		// The service's sentence usually repeats the first violation.
		if line := violation.Field + ": " + violation.Description; !strings.Contains(e.Message, line) {
			fmt.Fprintf(&text, "; %s", line)
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&text, "; retry in %v", e.RetryAfter)
	}
	fmt.Fprintf(&text, " (%v)", e.Code)
	return text.String()
}

// GRPCStatus is the status as it came, so that status.FromError and status.Code work.
func (e *Error) GRPCStatus() *status.Status {
	return e.status
}

// Is makes errors.Is(err, context.DeadlineExceeded) and errors.Is(err, context.Canceled) work.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// asError is the typed form of an error that a gRPC call has returned; nil stays nil.
func asError(err error) error {
	if err == nil {
		return nil
	}
	refusal := status.Convert(err)
	var bare interface{ GRPCStatus() *status.Status }
	if errors.As(err, &bare) {
		refusal = bare.GRPCStatus() // Without what gRPC says around it of its tries.
	}
	typed := &Error{Code: refusal.Code(), Message: sentence(refusal), status: refusal}
	for _, detail := range refusal.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			typed.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, each := range detail.GetFieldViolations() {
				typed.FieldViolations = append(typed.FieldViolations,
					FieldViolation{Field: each.GetField(), Description: each.GetDescription()})
			}
		case *errdetails.RetryInfo:
			typed.RetryAfter = detail.GetRetryDelay().AsDuration()
		case *errdetails.ResourceInfo:
			typed.Resource = &Resource{Type: detail.GetResourceType(), Name: detail.GetResourceName()}
		}
	}
	return typed
}

// closedAtOnce is how gRPC puts it that a connection was taken, and closed before a word was said.
var closedAtOnce = regexp.MustCompile(
	`error reading server preface: |^latest balancer error: .*(broken pipe|reset by peer|EOF)`)

// sentence is a refusal's message, with what it may mean if gRPC does not know.
func sentence(refusal *status.Status) string {
	text := refusal.Message()
	if closedAtOnce.MatchString(text) {
		text += "; does the service want TLS, or a certificate of the client?"
	}
	return text
}

// distrust is how gRPC puts it that the client does not trust the service's certificate, or that the
// service speaks no TLS.
var distrust = regexp.MustCompile(
	`tls: (failed to verify certificate|first record does not look like a TLS handshake)`)

// isDistrust says whether no connection can be made for as long as both sides are as they are.
func isDistrust(err error) bool {
	return status.Code(err) == codes.Unavailable && distrust.MatchString(err.Error())
}

// outOfTime is the end of a context while a call waited to be tried again, after err.
func outOfTime(ctx context.Context, err error) error {
	ended := status.FromContextError(ctx.Err())
	return asError(status.Errorf(ended.Code(), "%s; before that: %v", ended.Message(), err))
}

// isTransient says whether waiting may mend it: the service is away, going down, or full.
func isTransient(err error) bool {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Code {
	// A server that ends cancels what it had begun.  Whoever asks has ruled out its own cancelling.
	case codes.Unavailable, codes.Canceled:
		return !isDistrust(err)
	case codes.ResourceExhausted:
		// Without a hint it is a size that will not shrink, of a message say.
		return refusal.RetryAfter > 0
	}
	return false
}

// isFatal says whether no waiting will mend it: the request itself is wrong.
func isFatal(err error) bool {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.InvalidArgument, codes.NotFound,
		codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	return false
}

// JobError says that a job has not succeeded: see [Check].
type JobError struct {
	// Job is the job as it ended.
	Job *uwfqv1.Job
}

// Error names the job, how it ended, and why.
func (e *JobError) Error() string {
	state := strings.ToLower(strings.TrimPrefix(e.Job.GetState().String(), "JOB_STATE_"))
	text := fmt.Sprintf("uwfq: job %q: %s", e.Job.GetJobId(), state)
	if cause := e.Job.GetCause(); cause != "" {
		text += ": " + cause
	}
	return text
}

// Check is nil for a job that has succeeded, and a [*JobError] for any other.
func Check(job *uwfqv1.Job) error {
	if job.GetState() == uwfqv1.JobState_JOB_STATE_SUCCEEDED {
		return nil
	}
	return &JobError{Job: job}
}

// Permanent marks a handler's error as one that no other attempt can mend: the job fails at once.
// Any other error is worth another attempt.  Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

func isPermanent(err error) bool {
	var permanent *permanentError
	return errors.As(err, &permanent)
}
