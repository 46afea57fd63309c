package doctor

import (
	"os"
	"slices"
	"strings"

	"o2n-milter/config"
	"o2n-milter/rules"
)

// CheckConfig tells what is wrong with the configuration files. A file that only we
// may not read says nothing of the daemon.
func CheckConfig(cfg *config.Config, faults []config.Fault) []Finding {
	r := &report{area: "config"}
	for _, f := range faults {
		if os.Geteuid() != 0 && strings.Contains(f.Problem, "may not be read by this user") {
			r.add(Note, f.Key+": "+f.Problem, "what is in it is not looked at", "run this as root")
			continue
		}
		r.add(Fault, f.Error(), "a daemon that runs keeps its old rules, and one that is started does not start", "o2n-milter configtest")
	}
	for _, n := range cfg.Notes {
		r.add(Note, n.Error(), "it has no effect", "")
	}
	switch {
	case len(r.list) > 0:
	case len(cfg.Files) == 0:
		r.add(Note, cfg.File+" does not exist", "all is as it is by default: there is no limit and no account", "write one, or name it: --config FILE")
	default:
		r.ok("%s has no fault", cfg.File)
	}
	return r.list
}

// CheckNothing is told in place of all that goes by a configuration that could not be
// read.
func CheckNothing() []Finding {
	r := &report{area: "config"}
	r.add(Note, "files, rules, sockets, store, MTA and traffic are not looked at", "what they should be is not known", "")
	return r.list
}

// judging are the tables of rules that look at mail; other actions say what to do when
// something of ours is broken.
var judging = []string{"identity", "recipients", "bulk", "content", "message"}

// CheckRules tells when the rules stop nobody.
func CheckRules(set *rules.Settings) []Finding {
	r := &report{area: "rules"}
	if len(set.Limits) == 0 {
		r.add(Warning, "there is no [limit.NAME]", "nobody is kept from sending any amount",
			"[limit.hour]\nsubject = \"account\"\nunit = \"messages\"\nmax = 200\nwindow = \"1h\"\naction = \"tempfail\"")
	}
	strongest := rules.Off
	for id, action := range set.Actions {
		if table, _, _ := strings.Cut(id, "."); slices.Contains(judging, table) {
			strongest = max(strongest, action)
		}
	}
	for _, l := range set.Limits {
		strongest = max(strongest, l.Action)
	}
	if set.AllShadow {
		strongest = min(strongest, rules.Shadow)
	}
	switch {
	case strongest == rules.Off:
		r.add(Warning, "every rule is off", "no mail is looked at", "set the rules of [identity] and [recipients] to \"shadow\" at least")
	case strongest <= rules.Tag:
		r.add(Note, "no rule stops mail: the strongest action is "+strongest.String(), "that is right while rules are tried out", "o2n-milter status --shadow")
	default:
		r.ok("%d limits, and rules that stop mail", len(set.Limits))
	}
	return r.list
}

// Holds says whether the rules may put mail on hold: a rule set to quarantine does,
// and a limit set to tempfail for local submissions.
func Holds(set *rules.Settings) bool {
	for _, action := range set.Actions {
		if action == rules.Quarantine {
			return true
		}
	}
	return slices.ContainsFunc(set.Limits, func(l rules.Limit) bool {
		return l.Action == rules.Quarantine || l.Action == rules.Tempfail
	})
}
