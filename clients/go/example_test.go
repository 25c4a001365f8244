package uwfq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	uwfq "github.com/uwfq/uwfq/clients/go"
	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

func ExampleClient_Watch() {
	client, err := uwfq.New("127.0.0.1:7170")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for job, err := range client.Watch(context.Background(), "nightly-report") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.State, job.MeasuredWorkSlotSeconds)
	}
}

func ExampleClient_Jobs() {
	client, err := uwfq.New("127.0.0.1:7170")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	request := &uwfqv1.ListJobsRequest{
		User:   "alice",
		States: []uwfqv1.JobState{uwfqv1.JobState_JOB_STATE_RUNNING},
	}
	for job, err := range client.Jobs(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.JobId)
	}
}

// A full service says when to come back; whether to is for the caller to say.
func ExampleError() {
	client, err := uwfq.New("127.0.0.1:7170")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err := client.Submit(ctx, &uwfqv1.SubmitJobRequest{User: "alice", JobId: "nightly-report",
			Stages: []*uwfqv1.StageSpec{uwfq.Stage("scan", 8)}})
		var refused *uwfq.Error
		if !errors.As(err, &refused) || refused.RetryAfter == 0 {
			fmt.Println(err)
			return
		}
		time.Sleep(refused.RetryAfter)
	}
}

func ExamplePermanent() {
	var worker *uwfq.Worker // See NewWorker.
	worker.Handle("convert", func(ctx context.Context, task *uwfq.Task) (*uwfq.Measurement, error) {
		format, known := task.Labels["format"]
		if !known {
			return nil, uwfq.Permanent(errors.New("label format: missing; name the format to convert to"))
		}
		return nil, convert(ctx, task.Payload, format)
	})
}

func convert(context.Context, []byte, string) error { return nil }
