package notify

import (
	"encoding/json"
	"strings"
	"testing"

	"o2n-milter/state"
)

// TestPayloadOfManualBlock: lists are there when they are empty, too.
func TestPayloadOfManualBlock(t *testing.T) {
	text, err := json.Marshal(payloadOf(notice{Event: Event{What: Block, Block: state.Block{ID: "B1", Subject: alice}}}))
	if err != nil || !strings.Contains(string(text), `"evidence":[],"decisions":[]`) {
		t.Errorf("%v: %s", err, text)
	}
}
