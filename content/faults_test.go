package content

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFaults: every way for an engine to fail has its kind and ends in time.
func TestFaults(t *testing.T) {
	const limit = 100 * time.Millisecond
	hang := make(chan struct{})
	hijack := func(do func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			do(nc)
			nc.Close()
		}
	}
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			io.WriteString(w, text)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   Kind
	}{
		"never answers": {func(http.ResponseWriter, *http.Request) { <-hang }, Timeout},
		"stops within the answer": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"score":`)
			w.(http.Flusher).Flush()
			<-hang
		}, Timeout},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond) // an engine that never has done
			}
		}, Timeout},
		"hangs up": {hijack(func(net.Conn) {}), Connection},
		"resets":   {hijack(func(nc net.Conn) { nc.(*net.TCPConn).SetLinger(0) }), Connection},
		"breaks off": {hijack(func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+good)
		}), Connection},
		"no HTTP": {hijack(func(nc net.Conn) { io.WriteString(nc, "220 mx.example ESMTP\r\n") }), Connection},
		"long field": {hijack(func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"+good)
		}), Connection},
		"500":          {status(500, `{"error":"invalid command"}`), Status},
		"503, no JSON": {status(503, "<html>"), Status},
		"403":          {status(403, `{"error":"Unauthorized"}`), Status},
		"204":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, Status},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/checkv2" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return
			}
			io.WriteString(w, good)
		}, Status},
		"empty":         {saying(""), Answer},
		"no JSON":       {saying("<html>score: 0</html>"), Answer},
		"no score":      {saying(`{"action":"no action"}`), Answer},
		"null":          {saying(`null`), Answer},
		"score null":    {saying(`{"score":null}`), Answer},
		"score text":    {saying(`{"score":"1"}`), Answer},
		"score list":    {saying(`{"score":[1]}`), Answer},
		"score huge":    {saying(`{"score":1e999}`), Answer},
		"score large":   {saying(`{"score":1000001}`), Answer},
		"score nan":     {saying(`{"score":nan}`), Answer},
		"action number": {saying(`{"score":1,"action":1}`), Answer},
		"symbols list":  {saying(`{"score":1,"symbols":["A"]}`), Answer},
		"symbol text":   {saying(`{"score":1,"symbols":{"A":"B"}}`), Answer},
		"required text": {saying(`{"score":1,"required_score":"15"}`), Answer},
		"a list":        {saying(`[` + good + `]`), Answer},
		"two answers":   {saying(good + good), Answer},
		"half":          {saying(good[:40]), Answer},
		"deep":          {saying(strings.Repeat(`[`, 100_000)), Answer},
		"one too long":  {saying(good + strings.Repeat(" ", maxAnswer+1-len(good))), Answer},
		"endless":       {func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, endless{}) }, Answer},
		"just fits":     {saying(good + strings.Repeat(" ", maxAnswer-len(good))), ""},
		"score 1e6":     {saying(`{"score":1e6}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := engine(t, tt.answer)
			if tt.want == Timeout && name != "drips" {
				t.Cleanup(func() { hang <- struct{}{} })
			}
			b := newBench(t, s.URL, func(o *Options) {
				if tt.want == Timeout {
					o.Timeout = limit
				}
			})
			began := time.Now()
			if got := b.kind(t); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
			if took := time.Since(began); tt.want == Timeout && took < limit || took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if !cmp.Equal(b.told, []Kind{tt.want}) {
				t.Errorf("told %q", b.told)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
