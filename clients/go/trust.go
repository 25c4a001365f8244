package uwfq

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// A call waits for a service that is away, and gRPC tells it nothing meanwhile.  But where the service's
// certificate is not to be trusted there will be no connection, however long it waits: a call that comes
// upon none asks for the reason first, with a call that does not wait.

func callIfTrusted(
	ctx context.Context, method string, request, response any,
	connection *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if method != grpc_health_v1.Health_Check_FullMethodName {
		if err := distrustOf(ctx, connection); err != nil {
			return err
		}
	}
	return call(ctx, method, request, response, connection, options...)
}

func streamIfTrusted(
	ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn,
	method string, stream grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if err := distrustOf(ctx, connection); err != nil {
		return nil, err
	}
	return stream(ctx, description, connection, method, options...)
}

// distrustOf is why there can be no connection; nil: there is one, or may be.
func distrustOf(ctx context.Context, connection *grpc.ClientConn) error {
	if connection.GetState() == connectivity.Ready {
		return nil
	}
	_, err := grpc_health_v1.NewHealthClient(connection).Check(
		ctx, &grpc_health_v1.HealthCheckRequest{}, failFast)
	if isDistrust(err) {
		return err
	}
	return nil
}
