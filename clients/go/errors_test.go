package uwfq

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

func refusal(t *testing.T, code codes.Code, text string, details ...protoadapt.MessageV1) error {
	t.Helper()
	refusal, err := status.New(code, text).WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return refusal.Err()
}

func TestErrorsCarryEveryDetail(t *testing.T) {
	violation := func(field, description string) *errdetails.BadRequest_FieldViolation {
		return &errdetails.BadRequest_FieldViolation{Field: field, Description: description}
	}
	for name, test := range map[string]struct {
		err  error
		want Error
		text string
	}{
		"fields": {
			refusal(t, codes.InvalidArgument, "user: must not be empty",
				&errdetails.ErrorInfo{Reason: "INVALID_FIELD", Domain: "uwfq"},
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
					violation("user", "must not be empty"), violation("kind", "is too long"),
				}}),
			Error{
				Code: codes.InvalidArgument, Message: "user: must not be empty", Reason: "INVALID_FIELD",
				FieldViolations: []FieldViolation{{"user", "must not be empty"}, {"kind", "is too long"}},
			},
			"uwfq: user: must not be empty; kind: is too long (InvalidArgument)",
		},
		"retry": {
			refusal(t, codes.ResourceExhausted, "full",
				&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}),
			Error{Code: codes.ResourceExhausted, Message: "full", RetryAfter: 1500 * time.Millisecond},
			"uwfq: full; retry in 1.5s (ResourceExhausted)",
		},
		"resource": {
			refusal(t, codes.NotFound, "no such job",
				&errdetails.ResourceInfo{ResourceType: "job", ResourceName: "j-1"}),
			Error{Code: codes.NotFound, Message: "no such job", Resource: &Resource{"job", "j-1"}},
			"uwfq: no such job (NotFound)",
		},
		"nothing": {
			status.Error(codes.Internal, "oops"),
			Error{Code: codes.Internal, Message: "oops"},
			"uwfq: oops (Internal)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrapped := fmt.Errorf("submitting: %w", asError(test.err))
			var typed *Error
			if !errors.As(wrapped, &typed) {
				t.Fatal("errors.As does not find it")
			}
			if typed.Error() != test.text {
				t.Errorf("text %q, wanted %q", typed.Error(), test.text)
			}
			if found, ok := status.FromError(wrapped); !ok || found.Code() != test.want.Code ||
				len(found.Details()) != len(status.Convert(test.err).Details()) {
				t.Errorf("status.FromError finds %v, %v", found, ok)
			}
			got := *typed
			got.status = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, wanted %+v", got, test.want)
			}
		})
	}
}

func TestNoErrorStaysNone(t *testing.T) {
	if err := asError(nil); err != nil {
		t.Error(err)
	}
	if err := Permanent(nil); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreThoseOfTheirContext(t *testing.T) {
	late, cancelled := asError(status.Error(codes.DeadlineExceeded, "")), asError(status.Error(codes.Canceled, ""))
	if !errors.Is(late, context.DeadlineExceeded) || errors.Is(late, context.Canceled) {
		t.Error("DeadlineExceeded is not itself")
	}
	if !errors.Is(cancelled, context.Canceled) || errors.Is(cancelled, context.DeadlineExceeded) {
		t.Error("Canceled is not itself")
	}
}

func TestPermanentKeepsItsError(t *testing.T) {
	cause := errors.New("no such column")
	err := fmt.Errorf("reading: %w", Permanent(cause))
	if !isPermanent(err) || !errors.Is(err, cause) || err.Error() != "reading: no such column" {
		t.Errorf("%v", err)
	}
	if isPermanent(cause) {
		t.Error("every error is permanent")
	}
}

func TestWaitsGrowToTheirLimitAndHeedTheHint(t *testing.T) {
	for range 100 {
		waits := newBackoff()
		for try := range 40 {
			most := min(100*time.Millisecond<<min(try, 10), 2*time.Second)
			if wait := waits.next(nil); wait < most/2 || wait > most {
				t.Fatalf("try %d waits %v, wanted %v to %v", try, wait, most/2, most)
			}
		}
		waits.reset()
		if wait := waits.next(&Error{RetryAfter: time.Minute}); wait < time.Minute || wait > time.Minute+100*time.Millisecond {
			t.Fatalf("with a hint of a minute it waits %v", wait)
		}
	}
}

func retryIn(delay time.Duration) protoadapt.MessageV1 {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}
