package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/rules"
)

// Key is one key of the schema: all that is known about it stands here once.
type Key struct {
	// Name is the dotted path. A part in capitals stands for any name:
	// "limit.NAME.max".
	Name string
	Kind string // for the manual: "integer", "list of domains"
	// Default is written as in TOML. It is empty when the key must be given (as
	// long as its table is).
	Default string

	disk  bool // check looks at the disk, where the default need not be
	check check
	set   setter
}

// setter stores a checked value; path is the key's path in the file.
type setter func(c *Config, path []string, v any)

// Keys lists the schema in the order of the manual.
func Keys() []Key { return slices.Clone(schema) }

// maxWindow and minWindow bound whatever is counted over time.
const (
	minWindow = time.Second
	day       = 24 * time.Hour
	maxWindow = 366 * day
	maxKeep   = 3660 * day // ten years
	maxCount  = 1 << 20    // recipients, sessions: more is a slip of the finger
	maxMax    = 1 << 53    // the largest integer that JSON readers keep
)

var schema = slices.Concat(milterKeys, stateKeys, shadowKeys, messageKeys, accountKeys, identityKeys,
	recipientKeys, limitKeys, bulkKeys, contentKeys, blockKeys, replyKeys, holdKeys, notifyKeys, adminKeys, webKeys, logKeys)

var milterKeys = []Key{
	{Name: "milter.listen", Kind: "list of addresses", Default: `["tcp:127.0.0.1:8895"]`,
		check: list[string]("a list of addresses", text(wantListen, listenAddress)),
		set:   into(func(c *Config) *[]string { return &c.Milter.Listen })},
	{Name: "milter.allow_remote", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Milter.AllowRemote })},
	socketMode("milter.socket_mode", func(c *Config) *fs.FileMode { return &c.Milter.SocketMode }),
	socketGroup("milter.socket_group", func(c *Config) *string { return &c.Milter.SocketGroup }),
	{Name: "milter.max_sessions", Kind: "integer", Default: "1000", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Milter.MaxSessions })},
	{Name: "milter.max_per_client", Kind: "integer", Default: "500", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Milter.MaxPerClient })},
	{Name: "milter.shutdown_timeout", Kind: "duration", Default: `"20s"`, check: duration(0, time.Hour),
		set: into(func(c *Config) *time.Duration { return &c.Milter.ShutdownTimeout })},
}

var stateKeys = []Key{
	{Name: "state.backend", Kind: "badger | redis | memory", Default: `"badger"`, check: oneOf("badger", "redis", "memory"),
		set: into(func(c *Config) *string { return &c.State.Backend })},
	{Name: "state.path", Kind: "path", Default: `"/var/lib/o2n-milter"`, check: text("a path", absolute),
		set: into(func(c *Config) *string { return &c.State.Path })},
	{Name: "state.durability", Kind: "process | power", Default: `"process"`, check: oneOf("process", "power"),
		set: into(func(c *Config) *string { return &c.State.Durability })},
	bytes("state.cache", "64MB", func(c *Config) *int64 { return &c.State.Cache }),
	bytes("state.min_free", "96MB", func(c *Config) *int64 { return &c.State.MinFree }),
	bytes("state.max_size", "2GB", func(c *Config) *int64 { return &c.State.MaxSize }),
	{Name: "state.redis", Kind: "URL", Default: `"redis://127.0.0.1:6379/0"`, check: redisURL,
		set: into(func(c *Config) *string { return &c.State.Redis })},
	{Name: "state.redis_password_file", Kind: "path", Default: `""`, check: orEmpty(text(wantPassword, passwordFile)),
		set: into(func(c *Config) *string { return &c.State.RedisPasswordFile })},
	{Name: "state.redis_ca_file", Kind: "path", Default: `""`, check: orEmpty(text(wantCertificates, certificates)),
		set: into(func(c *Config) *string { return &c.State.RedisCAFile })},
	{Name: "state.on_failure", Kind: "tempfail | accept | local", Default: `"tempfail"`,
		check: oneOf("tempfail", "accept", "local"), set: onFailure},
	{Name: "state.retention", Kind: "duration", Default: `"30d"`, check: duration(time.Hour, maxKeep),
		set: into(func(c *Config) *time.Duration { return &c.State.Retention })},
	{Name: "state.addresses", Kind: "clear | hashed", Default: `"clear"`, check: oneOf("clear", "hashed"),
		set: func(c *Config, _ []string, v any) { c.Rules.HideAddresses = v == "hashed" }},
}

const (
	wantPassword     = "a file with a password that other users cannot read"
	wantCertificates = "a file of certificates in PEM"
)

// onFailure also says what is done when counting alone does not help either.
func onFailure(c *Config, _ []string, v any) {
	c.State.Local = v == "local"
	c.Rules.Actions["store.unavailable"] = rules.Tempfail
	if v == "accept" {
		c.Rules.Actions["store.unavailable"] = rules.Accept
	}
}

var shadowKeys = []Key{
	{Name: "shadow.all", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Rules.AllShadow })},
}

var messageKeys = []Key{
	act("message.malformed", "reject"),
	act("message.too_complex", "tempfail"),
}

var accountKeys = []Key{
	{Name: "accounts.unknown", Kind: "domain | reject", Default: `"domain"`, check: oneOf("domain", "reject"),
		set: func(c *Config, _ []string, v any) { c.Rules.UnknownReject = v == "reject" }},
	{Name: "accounts.default_realm", Kind: "domain", Default: `""`, check: orEmpty(plain("a domain", domain)),
		set: into(func(c *Config) *string { return &c.Rules.DefaultRealm })},
	{Name: "accounts.file", Kind: "path", Default: `"accounts.toml"`, check: text("a file that exists", existing), disk: true,
		set: into(func(c *Config) *string { return &c.Accounts.File })},
	act("accounts.unavailable", "tempfail"),
	{Name: "accounts.networks", Kind: "list of addresses and prefixes", Default: "[]",
		check: list[netip.Prefix]("a list of prefixes", text(wantPrefix, prefix)),
		set:   into(func(c *Config) *[]netip.Prefix { return &c.Rules.Networks })},
	{Name: "accounts.hosts", Kind: "list of domains", Default: "[]",
		check: list[string]("a list of domains", plain("a domain", domain)),
		set:   into(func(c *Config) *[]string { return &c.Rules.Hosts })},
	{Name: "account.LOGIN.customer", Kind: "string", Default: `""`, check: plain("printable text", word),
		set: account(func(a *accounts.Account) *string { return &a.Customer })},
	{Name: "account.LOGIN.plan", Kind: "string", Default: `""`, check: plain("printable text", word),
		set: account(func(a *accounts.Account) *string { return &a.Plan })},
	{Name: "account.LOGIN.addresses", Kind: "list of mail addresses", Default: "[]",
		check: list[string]("a list of mail addresses", plain("a mail address", address)),
		set:   account(func(a *accounts.Account) *[]string { return &a.Addresses })},
	{Name: "account.LOGIN.domains", Kind: "list of domains", Default: "[]",
		check: list[string]("a list of domains", plain("a domain", domain)),
		set:   account(func(a *accounts.Account) *[]string { return &a.Domains })},
	{Name: "account.LOGIN.reply_to", Kind: "list of mail addresses and domains", Default: "[]",
		check: list[string]("a list of mail addresses and domains", plain("a mail address or a domain", addressOrDomain)),
		set:   account(func(a *accounts.Account) *[]string { return &a.ReplyTo })},
	{Name: "account.LOGIN.scripts", Kind: "list of mail addresses", Default: "[]",
		check: list[string]("a list of mail addresses", plain("a mail address", address)),
		set:   account(func(a *accounts.Account) *[]string { return &a.Scripts })},
	{Name: "account.LOGIN.ips", Kind: "list of addresses and prefixes", Default: "[]",
		check: list[netip.Prefix]("a list of addresses and prefixes", text(wantPrefix, prefix)),
		set:   account(func(a *accounts.Account) *[]netip.Prefix { return &a.IPs })},
}

const (
	wantListen   = `"tcp:HOST:PORT" or "unix:/path"`
	wantPrefix   = `an IP address or a prefix such as "192.0.2.0/24"`
	wantHostPort = `"HOST:PORT", such as "127.0.0.1:8896"`
	wantURL      = "an http or https URL of printable ASCII, at most 120 bytes"
)

var identityKeys = []Key{
	act("identity.header_from", "reject"),
	act("identity.sender", "reject"),
	act("identity.reply_to", "reject"),
	act("identity.envelope_from", "reject"),
	act("identity.display_name", "shadow"),
	act("identity.malformed", "reject"),
	{Name: "identity.alignment", Kind: "relaxed | strict", Default: `"relaxed"`, check: oneOf("relaxed", "strict"),
		set: func(c *Config, _ []string, v any) { c.Rules.Strict = v == "strict" }},
}

var recipientKeys = []Key{
	act("recipients.visible", "reject"),
	{Name: "recipients.max_visible", Kind: "integer", Default: "10", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.MaxVisible })},
	act("recipients.envelope", "reject"),
	{Name: "recipients.max_envelope", Kind: "integer", Default: "10", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.MaxEnvelope })},
	act("recipients.duplicate", "reject"),
	{Name: "recipients.max_duplicates", Kind: "integer", Default: "1", check: integer(0, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.MaxDuplicates })},
}

var limitKeys = []Key{
	{Name: "limit.NAME.subject", Kind: "account | customer | script | host | ip | domain | account+domain", Default: `"account"`,
		check: oneOf("account", "customer", "script", "host", "ip", "domain", "account+domain"),
		set:   limit(func(l *rules.Limit) *string { return &l.Subject })},
	{Name: "limit.NAME.unit", Kind: "messages | recipients | new_recipients | bytes", Default: `"messages"`,
		check: oneOf("messages", "recipients", "new_recipients", "bytes"),
		set: func(c *Config, path []string, v any) {
			limitOf(c, path[1]).Unit = rules.Unit(v.(string))
		}},
	{Name: "limit.NAME.max", Kind: "integer", Default: "10", check: integer[int64](1, maxMax),
		set: limit(func(l *rules.Limit) *int64 { return &l.Max })},
	{Name: "limit.NAME.window", Kind: "duration", Default: `"1m"`, check: duration(minWindow, maxWindow),
		set: limit(func(l *rules.Limit) *time.Duration { return &l.Window })},
	{Name: "limit.NAME.action", Kind: "action", Default: `"tempfail"`, check: action,
		set: limit(func(l *rules.Limit) *rules.Action { return &l.Action })},
	{Name: "limit.NAME.plans.PLAN", Kind: "integer", check: integer[int64](1, maxMax),
		set: func(c *Config, path []string, v any) {
			l := limitOf(c, path[1])
			if l.Plans == nil {
				l.Plans = map[string]int64{}
			}
			l.Plans[path[3]] = v.(int64)
		}},
}

var replyKeys = []Key{
	{Name: "reply.language", Kind: "en | fr | en+fr", Default: `"en"`, check: oneOf("en", "fr", "en+fr"),
		set: into(func(c *Config) *string { return &c.Rules.Language })},
	{Name: "reply.help_url", Kind: "URL", Default: `"https://help.example/sending-rules"`, check: plain(wantURL, webURL),
		set: into(func(c *Config) *string { return &c.Rules.HelpURL })},
	{Name: "reply.bulk_service", Kind: "URL", Default: `"https://bulk.example/"`, check: plain(wantURL, webURL),
		set: into(func(c *Config) *string { return &c.Rules.BulkService })},
}

const wantSocket = "a path of at most 107 bytes"

var adminKeys = []Key{
	{Name: "admin.socket", Kind: "path", Default: `"/run/o2n-milter/admin.sock"`, check: text(wantSocket, socketPath),
		set: into(func(c *Config) *string { return &c.Admin.Socket })},
	adminMode("admin.socket_mode", func(c *Config) *fs.FileMode { return &c.Admin.Mode }),
	socketGroup("admin.socket_group", func(c *Config) *string { return &c.Admin.Group }),
}

var webKeys = []Key{
	{Name: "web.listen", Kind: "address", Default: `"127.0.0.1:8896"`, check: orEmpty(plain(wantHostPort, hostPort)),
		set: into(func(c *Config) *string { return &c.Web.Listen })},
	{Name: "web.allow_remote", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Web.AllowRemote })},
	{Name: "web.public_listen", Kind: "address", Default: `""`, check: orEmpty(plain(wantHostPort, hostPort)),
		set: into(func(c *Config) *string { return &c.Web.PublicListen })},
	{Name: "web.public_url", Kind: "URL", Default: `"https://sending.example"`, check: plain(wantURL, webURL),
		set: into(func(c *Config) *string { return &c.Web.PublicURL })},
	{Name: "web.trusted_proxy", Kind: "list of addresses and prefixes", Default: "[]",
		check: list[netip.Prefix]("a list of addresses and prefixes", text(wantPrefix, prefix)),
		set:   into(func(c *Config) *[]netip.Prefix { return &c.Web.TrustedProxy })},
	{Name: "web.proxy_user_header", Kind: "name of a header field", Default: `""`,
		check: orEmpty(plain("a name of letters, digits and -", fieldName)),
		set:   into(func(c *Config) *string { return &c.Web.ProxyUserHeader })},
	{Name: "web.link_key_file", Kind: "path", Default: `"/etc/o2n-milter/link.key"`,
		check: text(wantLinkKey, linkKey), disk: true,
		set: into(func(c *Config) *string { return &c.Web.LinkKeyFile })},
}

const wantLinkKey = "a file of at least 32 bytes, hex or raw, that other users cannot read"

// act is a rule's action, stored under the rule's id.
func act(rule, std string) Key {
	return Key{Name: rule, Kind: "action", Default: `"` + std + `"`, check: action,
		set: func(c *Config, _ []string, v any) { c.Rules.Actions[rule] = v.(rules.Action) }}
}

// bytes is a size.
func bytes(name, std string, field func(*Config) *int64) Key {
	return Key{Name: name, Kind: "size", Default: `"` + std + `"`, check: text(wantSize, size), set: into(field)}
}

func fieldName(s string) (string, error) {
	odd := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(s) > 64 || strings.ContainsFunc(s, odd) {
		return "", errors.New("is no such name")
	}
	return s, nil
}

func socketMode(name string, field func(*Config) *fs.FileMode) Key {
	return Key{Name: name, Kind: "string of three octal digits", Default: `"0660"`,
		check: text(`octal rights in quotes, such as "0660"`, fileMode), set: into(field)}
}

// adminMode is a socketMode without rights for everybody: who may connect may do
// everything.
func adminMode(name string, field func(*Config) *fs.FileMode) Key {
	k := socketMode(name, field)
	k.check = text(`octal rights in quotes, none for others, such as "0660"`, func(s, dir string) (fs.FileMode, error) {
		mode, err := fileMode(s, dir)
		if err == nil && mode&0o007 != 0 {
			err = errors.New("opens it to every user")
		}
		return mode, err
	})
	return k
}

func socketGroup(name string, field func(*Config) *string) Key {
	return Key{Name: name, Kind: "group", Default: `""`,
		check: orEmpty(plain("a group, or \"\" for the daemon's own", group)), set: into(field)}
}

func into[T any](field func(*Config) *T) setter {
	return func(c *Config, _ []string, v any) { *field(c) = v.(T) }
}

func limit[T any](field func(*rules.Limit) *T) setter {
	return func(c *Config, path []string, v any) { *field(limitOf(c, path[1])) = v.(T) }
}

// limitOf is the limit that newTable made before any key of it is set.
func limitOf(c *Config, name string) *rules.Limit {
	i := slices.IndexFunc(c.Rules.Limits, func(l rules.Limit) bool { return l.Name == name })
	return &c.Rules.Limits[i]
}

func account[T any](field func(*accounts.Account) *T) setter {
	return func(c *Config, path []string, v any) {
		*field(c.Accounts.Table[strings.ToLower(path[1])]) = v.(T)
	}
}
