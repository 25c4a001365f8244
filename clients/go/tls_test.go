package uwfq_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	uwfq "github.com/uwfq/uwfq/clients/go"
	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// identity is a certificate that signs itself, for 127.0.0.1, and its files.
type identity struct {
	pair          tls.Certificate
	pool          *x509.CertPool
	certFile, key string
}

func newIdentity(t *testing.T) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "uwfq"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	made := identity{
		pool:     x509.NewCertPool(),
		certFile: filepath.Join(t.TempDir(), "cert.pem"),
		key:      filepath.Join(t.TempDir(), "key.pem"),
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	made.pool.AppendCertsFromPEM(certPEM)
	if made.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{made.certFile: certPEM, made.key: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func TestAServiceWithoutTLSIsToldAtOnce(t *testing.T) {
	target := startServer(t).target
	// Else it may not be there yet, and is waited for.
	if _, err := connect(t, target).ListPools(within(t), nil); err != nil {
		t.Fatal(err)
	}
	client, err := uwfq.New(target, uwfq.WithTLS(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Wait(within(t), "j"); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// Who shows a certificate is served, who does not is not.
func TestMutualTLS(t *testing.T) {
	service, me := newIdentity(t), newIdentity(t)
	target := startServer(t, "tls.cert="+service.certFile, "tls.key="+service.key, "tls.client_ca="+me.certFile).target
	ask := func(ctx context.Context, options ...uwfq.Option) error {
		t.Helper()
		client, err := uwfq.New(target, options...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.ListPools(ctx, &uwfqv1.ListPoolsRequest{})
		return err
	}
	known := &tls.Config{RootCAs: service.pool, Certificates: []tls.Certificate{me.pair}}
	if err := ask(within(t), uwfq.WithTLS(known)); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	for name, option := range map[string]uwfq.Option{
		"without a certificate": uwfq.WithTLS(&tls.Config{RootCAs: service.pool}),
		"without TLS":           uwfq.WithKeepalive(time.Minute, time.Second),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := ask(ctx, option); err == nil {
			t.Errorf("%s: no error", name)
		}
		cancel()
	}
	// No waiting would mend these, so nobody waits.
	for name, config := range map[string]*tls.Config{
		"unknown authority":       nil,
		"to match somewhere.test": {RootCAs: service.pool, ServerName: "somewhere.test"},
		"has expired":             {RootCAs: service.pool, Time: func() time.Time { return time.Now().Add(2 * time.Hour) }},
	} {
		if err := ask(within(t), uwfq.WithTLS(config)); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
