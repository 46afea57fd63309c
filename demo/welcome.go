package demo

import (
	"fmt"
	"strings"
)

// Mail to try, as files.
const (
	you     = "you@acme.example"
	friend  = "jo@remote.example"
	passing = "passes.eml"
	refused = "refused.eml"
)

// opening is what there is to open and to try.
type opening struct {
	SMTP     string `json:"smtp"`
	Milter   string `json:"milter"`
	Web      string `json:"web"`
	Console  string `json:"console"`       // a one-time link
	Customer string `json:"customer_page"` // of the hijacked site's owner
	Folder   string `json:"folder"`
	Config   string `json:"config"`
}

// welcome tells where everything is.
func (d *demo) welcome() error {
	w := opening{SMTP: d.SMTP, Milter: d.Milter, Web: d.Web, Folder: d.Dir, Config: d.Config}
	var link struct{ URL string }
	if err := d.Ask(d.path("admin.sock"), "/v1/console", struct{}{}, &link); err != nil {
		return err
	}
	w.Console = link.URL
	if err := d.Ask(d.path("admin.sock"), "/v1/links", map[string]string{"account": voyage, "for": "24h"}, &link); err != nil {
		return err
	}
	w.Customer = link.URL
	if d.JSON {
		return encode(d.Out, w)
	}
	_, err := fmt.Fprintf(d.Out, `o2n-milter demo: nothing leaves this machine. The filter is the real one, the mail is made up and thrown away.

  console        %s
                 (lets you in once, within ten minutes)
  customer page  %s
                 (what the owner of the hijacked site sees)
  configuration  %s
                 (this folder goes when the demo ends)

Send mail of your own, any password will do. This one passes, and this one is refused:

  %s
  %s

In another terminal:

  %s
  %s
  %s
  tail -f %s

`, w.Console, w.Customer, w.Config, d.curl(passing), d.curl(refused),
		d.command("status"), d.command("usage account:"+agence), d.command("explain ID"), d.log.Name())
	return err
}

// curl is a line that sends a file to the door, and shows what the door says of it.
func (d *demo) curl(file string) string {
	return fmt.Sprintf("curl -v smtp://%s --mail-from %s --mail-rcpt %s -u %s:x -T %s", d.SMTP, you, friend, you, d.path(file))
}

// command is a line that asks the demo's daemon.
func (d *demo) command(args string) string {
	return fmt.Sprintf("%s --config %s %s", d.Program, d.Config, args)
}

// next tells what to do when the day is over.
func (d *demo) next() {
	if d.JSON {
		return
	}
	fmt.Fprintf(d.Out, `
The day is over; it serves on until Ctrl-C. What is held leaves by itself within a minute or two, at the pace of its limit.
Lift the block in the console, or let the site's owner ask for it on his page.

To install it: make deb, apt install ./o2n-milter_*.deb, and a line in main.cf: README.md, "Install".
`)
}

// accountsTOML are the accounts of the people who send. Who is in none may use his
// login's own domain.
func accountsTOML() string {
	var b strings.Builder
	b.WriteString("# The customers of the demo.\n")
	table := func(login string, n int, more string) {
		fmt.Fprintf(&b, "\n[account.%q]\ncustomer = \"C-%d\"\ndomains = [%q]\n%s", login, 1000+n, domainOf(login), more)
	}
	for i := range customersCount {
		table(account(i), i, "")
	}
	table(voyage, 100, fmt.Sprintf("scripts = [%q]\n", voyageWWW))
	table(fleurs, 101, fmt.Sprintf("scripts = [%q]\n", fleursWWW))
	table(mode, 102, "plan = \"pro\"\n")
	for i, login := range []string{garage, tennis, fournil, agence, you} {
		table(login, 103+i, "")
	}
	return b.String()
}
