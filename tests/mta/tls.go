package mta

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"
)

// identity is what all servers of this process show, and clients trust.
type identity struct {
	pem     []byte // key and certificate
	trusted *x509.CertPool
}

// ourIdentity is a certificate for Host that nobody else has signed.
var ourIdentity = sync.OnceValues(func() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: Host}, DNSNames: []string{Host},
		// A day: longer than any test, and than clocks differ.
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return identity{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	// Postfix wants them in this order (postconf(5), smtpd_tls_chain_files).
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})...)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	return identity{text, trusted}, nil
})

// writeIdentity makes a file of it that its owner alone may read, as Sendmail wants it.
func writeIdentity(t testing.TB, path string) {
	t.Helper()
	our, err := ourIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, our.pem, 0o600); err != nil {
		t.Fatal(err)
	}
}

// StartTLS goes on under TLS after a 220 to STARTTLS. Behind that reply a server says
// nothing in the clear.
func (c *Client) StartTLS() error {
	if n := c.in.Buffered(); n > 0 {
		clear, _ := c.in.Peek(n)
		return fmt.Errorf("in the clear behind the answer to STARTTLS: %q", clear)
	}
	our, err := ourIdentity()
	if err != nil {
		return err
	}
	conn := tls.Client(c.conn, &tls.Config{RootCAs: our.trusted, ServerName: Host, MinVersion: tls.VersionTLS12})
	c.conn.SetDeadline(time.Now().Add(replyTimeout))
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}
