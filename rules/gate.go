package rules

// WantsBody says, at MAIL, whether Decide is going to look at a message's body.
func (e *Engine) WantsBody(m *Mail) bool { return !e.isInbound(m) }
