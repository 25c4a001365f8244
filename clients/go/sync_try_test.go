package uwfq

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

type tiny struct {
	uwfqv1.UnimplementedSchedulerServiceServer
}

func (tiny) GetJob(ctx context.Context, r *uwfqv1.GetJobRequest) (*uwfqv1.GetJobResponse, error) {
	time.Sleep(5 * time.Second)
	return &uwfqv1.GetJobResponse{}, nil
}

func TestTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 16)
		s := grpc.NewServer()
		uwfqv1.RegisterSchedulerServiceServer(s, tiny{})
		go s.Serve(l)
		c, err := New("passthrough:///x", WithDialOptions(grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.Dial() })))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err = c.Get(ctx, &uwfqv1.GetJobRequest{JobId: "x"})
		t.Log(err, time.Since(began))
		c.Close()
		s.Stop()
	})
}
