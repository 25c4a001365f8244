package uwfq

import (
	"crypto/tls"
	_ "embed"
	"math"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Which calls wait for the service and are tried again; the clients of all languages share it.
//
//go:embed service_config.json
var serviceConfig string

// Option says how a [Client] reaches the service.
type Option func(*[]grpc.DialOption)

// WithTLS encrypts the connection.  A nil config trusts whom the system trusts; for mutual TLS, put
// the client's certificate into it.
func WithTLS(config *tls.Config) Option {
	return WithDialOptions(grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

// WithKeepalive says how soon a connection that has gone silent is noticed: after quiet without a
// byte from the service the client pings it, and without an answer within timeout it connects anew.
// Only while calls are under way.  Default: 30 s and 10 s; less than 10 s of quiet are taken as 10 s.
func WithKeepalive(quiet, timeout time.Duration) Option {
	return WithDialOptions(grpc.WithKeepaliveParams(
		keepalive.ClientParameters{Time: quiet, Timeout: timeout}))
}

// WithDialOptions passes options on to gRPC; they win over the client's own.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(all *[]grpc.DialOption) { *all = append(*all, options...) }
}

// dialOptions are the client's own, then what the caller has added.
func dialOptions(options []Option) []grpc.DialOption {
	reconnect := grpcbackoff.DefaultConfig
	reconnect.BaseDelay = 100 * time.Millisecond
	// After a restart of the service, seconds count; gRPC's default waits up to two minutes.
	reconnect.MaxDelay = 2 * time.Second
	all := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithChainUnaryInterceptor(callIfTrusted),
		grpc.WithChainStreamInterceptor(streamIfTrusted),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           reconnect,
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(
			// A batch of leases carries its payloads, and the service bounds what it sends: gRPC's
			// 4 MiB could refuse a batch, for ever.
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			// Else a large submission would not be tried again: the service bounds what it takes, too.
			grpc.MaxRetryRPCBufferSize(math.MaxInt32),
		),
	}
	WithKeepalive(30*time.Second, 10*time.Second)(&all)
	for _, option := range options {
		option(&all)
	}
	return all
}
