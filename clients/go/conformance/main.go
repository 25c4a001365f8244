// The adapter of the Go client for the conformance suite: what ../../conformance/README.md says, over
// the public interface of package uwfq and no more.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	uwfq "github.com/uwfq/uwfq/clients/go"
)

func main() {
	target := flag.String("target", "127.0.0.1:7170", "where the service listens")
	flag.Parse()
	client, err := uwfq.New(*target)
	if err != nil {
		log.Fatal(err)
	}
	adapter := &adapter{client: client, workers: map[string]*worker{}, out: json.NewEncoder(os.Stdout)}
	if err := adapter.serve(os.Stdin); err != nil {
		log.Fatal(err)
	}
}

// adapter answers each request under its id, side by side.
type adapter struct {
	client *uwfq.Client

	mu      sync.Mutex
	workers map[string]*worker
	out     *json.Encoder
}

// request is one line of input; each kind of request uses some of the fields.
type request struct {
	ID             json.RawMessage `json:"id"`
	Do             string          `json:"do"`
	Method         string          `json:"method"`
	Request        json.RawMessage `json:"request"`
	JobID          string          `json:"job_id"`
	TimeoutSeconds *float64        `json:"timeout_seconds"`
	GraceSeconds   *float64        `json:"grace_seconds"`
	Worker         string          `json:"worker"`
	Kind           string          `json:"kind"`
	Count          int             `json:"count"`
	workerRequest
}

// response is one line of output: OK or Error.
type response struct {
	ID    json.RawMessage `json:"id"`
	OK    any             `json:"ok,omitempty"`
	Error *failure        `json:"error,omitempty"`
}

// failure is an error as the client's users get it.
type failure struct {
	Code              string           `json:"code"`
	Message           string           `json:"message"`
	FieldViolations   []fieldViolation `json:"field_violations"`
	RetryAfterSeconds *float64         `json:"retry_after_seconds"`
	Reason            *string          `json:"reason"`
	Resource          *resource        `json:"resource"`
}

type fieldViolation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

type resource struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// nothing is an answer without content.
type nothing struct{}

// serve answers until the end of the input, then gives the workers up.
func (a *adapter) serve(input io.Reader) error {
	ctx, cancel := context.WithCancel(context.Background())
	var underWay sync.WaitGroup
	lines := bufio.NewReader(input)
	var failed error
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			var request request
			if err := json.Unmarshal(line, &request); err != nil {
				failed = fmt.Errorf("not a request: %s: %w", line, err)
				break
			}
			underWay.Go(func() {
				answer, err := a.do(ctx, &request)
				a.answer(request.ID, answer, err)
			})
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err
			}
			break
		}
	}
	cancel()
	underWay.Wait()
	a.giveUp()
	return errors.Join(failed, a.client.Close())
}

func (a *adapter) answer(id json.RawMessage, answer any, err error) {
	response := response{ID: id, OK: answer}
	if err != nil {
		response.OK, response.Error = nil, asFailure(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.out.Encode(response); err != nil {
		log.Printf("cannot answer: %v", err)
	}
}

func asFailure(err error) *failure {
	failure := &failure{Code: codeName(codes.Unknown), Message: err.Error(), FieldViolations: []fieldViolation{}}
	var refused *uwfq.Error
	if !errors.As(err, &refused) {
		if errors.Is(err, context.DeadlineExceeded) {
			failure.Code = codeName(codes.DeadlineExceeded)
		}
		return failure
	}
	failure.Code, failure.Message = codeName(refused.Code), refused.Message
	for _, each := range refused.FieldViolations {
		failure.FieldViolations = append(failure.FieldViolations, fieldViolation(each))
	}
	if refused.RetryAfter > 0 {
		failure.RetryAfterSeconds = new(refused.RetryAfter.Seconds())
	}
	if refused.Reason != "" {
		failure.Reason = &refused.Reason
	}
	if refused.Resource != nil {
		failure.Resource = new(resource(*refused.Resource))
	}
	return failure
}

// codeName is the canonical name, "NOT_FOUND" say.
func codeName(code codes.Code) string {
	return rpccode.Code(code).String()
}

func (a *adapter) do(ctx context.Context, request *request) (any, error) {
	if request.TimeoutSeconds != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(*request.TimeoutSeconds))
		defer cancel()
	}
	switch request.Do {
	case "call":
		call := calls[request.Method]
		if call == nil {
			return nil, fmt.Errorf("the client has no method for %q", request.Method)
		}
		return call(ctx, a.client, request.Request)
	case "watch":
		return a.watch(ctx, request.JobID)
	case "wait":
		job, err := a.client.Wait(ctx, request.JobID)
		return map[string]any{"job": message{job}}, err
	case "worker.start":
		return nothing{}, a.startWorker(request)
	}
	a.mu.Lock()
	worker := a.workers[request.Worker]
	a.mu.Unlock()
	if worker == nil {
		return nil, fmt.Errorf("%s: no worker %q was started", request.Do, request.Worker)
	}
	switch request.Do {
	case "worker.running":
		return nothing{}, worker.untilRunning(ctx, request.Kind, request.Count)
	case "worker.release":
		worker.release(request.Kind)
		return nothing{}, nil
	case "worker.runs":
		return worker.ended(), nil
	case "worker.stop":
		return worker.stop(request.GraceSeconds)
	}
	return nil, fmt.Errorf("no such request: %q", request.Do)
}

func (a *adapter) watch(ctx context.Context, jobID string) (any, error) {
	var states []string
	var last message
	for job, err := range a.client.Watch(ctx, jobID) {
		if err != nil {
			return nil, err
		}
		last.Message = job
		if state := job.GetState().String(); len(states) == 0 || states[len(states)-1] != state {
			states = append(states, state)
		}
	}
	return map[string]any{"states": states, "job": last}, nil
}

// calls are the client's methods, by the protocol's names.
var calls = map[string]call{
	"SubmitJob":   unary((*uwfq.Client).Submit),
	"AddStages":   unary((*uwfq.Client).AddStages),
	"SplitStage":  unary((*uwfq.Client).SplitStage),
	"DropStages":  unary((*uwfq.Client).DropStages),
	"CloseJob":    unary((*uwfq.Client).CloseJob),
	"CancelJob":   unary((*uwfq.Client).Cancel),
	"NextTask":    unary((*uwfq.Client).NextTask),
	"TaskDone":    unary((*uwfq.Client).TaskDone),
	"RenewLeases": unary((*uwfq.Client).RenewLeases),
	"GetJob":      unary((*uwfq.Client).Get),
	"ListJobs":    unary((*uwfq.Client).List),
	"ExplainJob":  unary((*uwfq.Client).Explain),
	"SetUser":     unary((*uwfq.Client).SetUser),
	"ListUsers":   unary((*uwfq.Client).ListUsers),
	"GetPool":     unary((*uwfq.Client).GetPool),
	"ListPools":   unary((*uwfq.Client).ListPools),
}

type call func(ctx context.Context, client *uwfq.Client, request []byte) (any, error)

// unary makes a call out of a method: JSON in, a message out.
func unary[Request, Response any, RequestMessage protobuf[Request], ResponseMessage protobuf[Response]](
	method func(*uwfq.Client, context.Context, *Request) (*Response, error),
) call {
	return func(ctx context.Context, client *uwfq.Client, line []byte) (any, error) {
		request := new(Request)
		if len(line) > 0 {
			if err := protojson.Unmarshal(line, RequestMessage(request)); err != nil {
				return nil, err
			}
		}
		response, err := method(client, ctx, request)
		return message{ResponseMessage(response)}, err
	}
}

type protobuf[T any] interface {
	*T
	proto.Message
}

// message is a message in an answer, in the JSON form of protobuf.
type message struct{ proto.Message }

func (m message) MarshalJSON() ([]byte, error) { return protojson.Marshal(m.Message) }

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}
