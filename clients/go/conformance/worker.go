package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	uwfq "github.com/uwfq/uwfq/clients/go"
)

// workerRequest is what worker.start has of its own.
type workerRequest struct {
	WorkerID *string         `json:"worker_id"`
	Pool     *string         `json:"pool"`
	Slots    int             `json:"slots"`
	Prefetch int             `json:"prefetch"`
	Kinds    map[string]deed `json:"kinds"`
}

// deed is what is done with the tasks of a kind.
type deed struct {
	Act      string  `json:"act"`
	Seconds  float64 `json:"seconds"`
	Attempts uint32  `json:"attempts"`
}

// run is one handler call that has ended.
type run struct {
	JobID     string `json:"job_id"`
	Stage     string `json:"stage"`
	TaskIndex uint32 `json:"task_index"`
	Attempt   uint32 `json:"attempt"`
	Outcome   string `json:"outcome"`
}

// worker is a worker of the client, and what its handlers have seen.
type worker struct {
	*uwfq.Worker

	mu sync.Mutex
	// changed is closed, and made anew, when a handler starts or ends.
	changed chan struct{}
	running map[string]int
	runs    []run
	// released is, by kind, closed once what is held may go.
	released map[string]chan struct{}
}

func (a *adapter) startWorker(request *request) error {
	options := uwfq.WorkerOptions{Slots: request.Slots, Prefetch: request.Prefetch}
	if request.WorkerID != nil {
		options.WorkerID = *request.WorkerID
	}
	if request.Pool != nil {
		options.Pool = *request.Pool
	}
	worker := &worker{
		Worker:   uwfq.NewWorker(a.client, options),
		changed:  make(chan struct{}),
		running:  map[string]int{},
		released: map[string]chan struct{}{},
	}
	for kind, deed := range request.Kinds {
		worker.released[kind] = make(chan struct{})
		worker.Handle(kind, worker.handler(deed))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.workers[request.Worker] != nil {
		return fmt.Errorf("there is a worker %q already", request.Worker)
	}
	a.workers[request.Worker] = worker
	go func() {
		if err := worker.Serve(context.Background()); err != nil {
			log.Printf("worker %s has ended: %v", request.Worker, err)
		}
	}()
	return nil
}

// giveUp stops all workers without any grace.
func (a *adapter) giveUp() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	var stopping sync.WaitGroup
	for _, worker := range a.workers {
		stopping.Go(func() { _ = worker.Stop(over) })
	}
	stopping.Wait()
}

// handler does the deed, and notes how it went.
func (w *worker) handler(deed deed) uwfq.Handler {
	return func(ctx context.Context, task *uwfq.Task) (*uwfq.Measurement, error) {
		w.update(func() { w.running[task.GetKind()]++ })
		err := w.act(ctx, deed, task)
		run := run{
			JobID:     task.GetJobId(),
			Stage:     task.GetStage(),
			TaskIndex: task.GetTaskIndex(),
			Attempt:   task.GetAttempt(),
			Outcome:   "succeeded",
		}
		if ctx.Err() != nil {
			run.Outcome = "cancelled"
		} else if err != nil {
			run.Outcome = "failed"
		}
		w.update(func() {
			w.running[task.GetKind()]--
			w.runs = append(w.runs, run)
		})
		return &uwfq.Measurement{Rows: new(uint64(1))}, err
	}
}

func (w *worker) act(ctx context.Context, deed deed, task *uwfq.Task) error {
	switch deed.Act {
	case "succeed":
		return nil
	case "sleep":
		select {
		case <-time.After(seconds(deed.Seconds)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case "fail":
		if task.GetAttempt() <= deed.Attempts {
			return fmt.Errorf("attempt %d fails, as it was told to", task.GetAttempt())
		}
		return nil
	case "fail_for_good":
		return uwfq.Permanent(errors.New("it fails for good, as it was told to"))
	case "hold":
		select {
		case <-w.released[task.GetKind()]:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return uwfq.Permanent(fmt.Errorf("no such act: %q", deed.Act))
}

func (w *worker) update(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.changed)
	w.changed = make(chan struct{})
}

// untilRunning waits until so many handlers of a kind run at the same time.
func (w *worker) untilRunning(ctx context.Context, kind string, count int) error {
	if err := w.until(ctx, func() bool { return w.running[kind] >= count }); err != nil {
		return fmt.Errorf("%d tasks of kind %q do not run at the same time: %w", count, kind, err)
	}
	return nil
}

func (w *worker) until(ctx context.Context, condition func() bool) error {
	for {
		w.mu.Lock()
		met, changed := condition(), w.changed
		w.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release lets what is held of a kind succeed, now and later.
func (w *worker) release(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.released[kind]
	select {
	case <-held: // It was released before.
	default:
		if held != nil {
			close(held)
		}
	}
}

func (w *worker) ended() any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[string]any{"runs": append([]run{}, w.runs...)}
}

func (w *worker) stop(graceSeconds *float64) (any, error) {
	ctx := context.Background()
	if graceSeconds != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(*graceSeconds))
		defer cancel()
	}
	if err := w.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	// Handlers that were given up have been told, and return.
	for kind := range w.released {
		if err := w.until(context.Background(), func() bool { return w.running[kind] == 0 }); err != nil {
			return nil, err
		}
	}
	return w.ended(), nil
}
