package doctor

import "strings"

// local looks at what this host's programs hand to sendmail(1): pickup gives it to a
// cleanup service, which asks non_smtpd_milters.
func (c *postfixCheck) local() {
	for _, pickup := range c.of("pickup") {
		if overrides(c.value(pickup, "receive_override_options"), "no_milters") {
			c.add(Fault, pickup.String()+": receive_override_options has no_milters",
				"what PHP and cron hand to sendmail(1) passes without being judged, counted or stopped",
				c.edit(pickup, "receive_override_options", strings.Join(without(c.value(pickup, "receive_override_options"), "no_milters"), ",")))
			continue
		}
		for _, cleanup := range c.of("cleanup") {
			if cleanup.name == c.value(pickup, "cleanup_service_name") {
				c.wired(cleanup, "non_smtpd_milters", Fault, cleanup.String())
			}
		}
	}
}

// instance looks at main.cf as a whole.
func (c *postfixCheck) instance() {
	if classes := c.main["internal_mail_filter_classes"]; classes != "" {
		c.add(Warning, "internal_mail_filter_classes is "+classes,
			"Postfix' own bounces and notices are judged as local submissions, and one that is refused is lost",
			c.edit(service{}, "internal_mail_filter_classes", ""))
	}
	if maps, known := c.main["local_login_sender_maps"]; known && maps == "static:*" && len(c.of("pickup")) > 0 {
		c.add(Note, "local_login_sender_maps is static:*: a local user may name any envelope sender",
			"a script that names another sender is counted and blocked under that one; the host limit counts it all the same",
			"see \"What the filter takes on trust\" in docs/operations.md")
	}
}
