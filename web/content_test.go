package web

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/content"
	"o2n-milter/state/memory"
)

// TestContentIsMeasured: a question counts once, by how it ended, and takes time only
// if it was put.
func TestContentIsMeasured(t *testing.T) {
	reg := prometheus.NewRegistry()
	count := RegisterContent(reg)
	fault := func(kind content.Kind) *content.Fault { return &content.Fault{Kind: kind, Err: errors.New("x")} }
	count(3*time.Millisecond, nil)
	count(2*time.Second, fault(content.Timeout))
	count(2*time.Second, fault(content.Timeout))
	count(0, fault(content.Resting))
	body := serve(Public(memory.New(), reg, at), "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`o2n_milter_content_errors_total{reason="timeout"} 2`, `o2n_milter_content_errors_total{reason="resting"} 1`,
		`o2n_milter_content_errors_total{reason="answer"} 0`, `o2n_milter_content_errors_total{reason="busy"} 0`,
		`o2n_milter_content_errors_total{reason="connection"} 0`, `o2n_milter_content_errors_total{reason="status"} 0`,
		`o2n_milter_content_seconds_count 3`, `o2n_milter_content_seconds_bucket{le="0.004"} 1`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}
