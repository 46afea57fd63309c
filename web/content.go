package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/content"
)

// RegisterContent registers o2n_milter_content_seconds and
// o2n_milter_content_errors_total, and gives who counts a question to the content
// engine. What was not asked took no time.
func RegisterContent(reg prometheus.Registerer) func(took time.Duration, fault *content.Fault) {
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "o2n_milter_content_seconds",
		Help:    "Time of questions to the content engine, answered or not.",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 13), // 1 ms to 4 s
	})
	errors := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_content_errors_total",
		Help: "Messages that got no score, by reason.",
	}, []string{"reason"})
	reg.MustRegister(seconds, errors)
	for _, kind := range content.Kinds {
		errors.WithLabelValues(string(kind))
	}
	return func(took time.Duration, fault *content.Fault) {
		if fault != nil {
			errors.WithLabelValues(string(fault.Kind)).Inc()
		}
		if fault == nil || fault.Kind != content.Resting {
			seconds.Observe(took.Seconds())
		}
	}
}
