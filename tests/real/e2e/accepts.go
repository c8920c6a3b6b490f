// accepts DIR prints, as JSON, the version of Go, and for each case in DIR whether crypto/tls accepts what its server
// presents, apart from the name.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// roots returns the certificates in a PEM file that can be parsed, as AppendCertsFromPEM does.
func roots(path string) *x509.CertPool {
	pool := x509.NewCertPool()
	rest, _ := os.ReadFile(path)
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			pool.AddCert(certificate)
		}
	}
	return pool
}

func accepts(folder string) bool {
	address, err := os.ReadFile(filepath.Join(folder, "address"))
	if err != nil {
		return false
	}
	pool := roots(filepath.Join(folder, "roots.pem"))
	verify := func(state tls.ConnectionState) error {
		intermediates := x509.NewCertPool()
		for _, certificate := range state.PeerCertificates[1:] {
			intermediates.AddCert(certificate)
		}
		// Without a name, which crypto/tls compares before the chain.
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates})
		return err
	}
	config := &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify}
	connection, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", string(address), config)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func main() {
	files, _ := filepath.Glob(filepath.Join(os.Args[1], "*", "case.json"))
	found := map[string]bool{}
	var lock sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, file := range files {
		all.Add(1)
		go func(folder string) {
			defer all.Done()
			slots <- struct{}{}
			accepted := accepts(folder)
			<-slots
			lock.Lock()
			found[filepath.Base(folder)] = accepted
			lock.Unlock()
		}(filepath.Dir(file))
	}
	all.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"version": runtime.Version(), "accepts": found})
}
