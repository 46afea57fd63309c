package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A form may be sent this long after its page was made.
const formAge = 12 * time.Hour

// tokenField is the form field that holds the token.
const tokenField = "form_token"

// ErrForm is the fault of every form that does not come, unchanged and in time,
// from the page that it names.
var ErrForm = errors.New("form token: not valid, or too old")

// formToken signs that a form of this page was given to whom bound names: a
// session, or a customer's link.
func (k *Kit) formToken(bound, page string, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return at + "." + k.sign(bound, page, at)
}

func (k *Kit) sign(bound, page, at string) string {
	mac := hmac.New(sha256.New, k.key)
	fmt.Fprintf(mac, "%q %q %q", bound, page, at)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CheckForm reads the form of a POST and checks its token: ErrForm when it is not
// one that a View with this Bound gave for this page. Other errors are of the body:
// too long, or no form.
func (k *Kit) CheckForm(r *http.Request, bound, page string) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("form: %w", err)
	}
	at, mac, _ := strings.Cut(r.PostForm.Get(tokenField), ".")
	sound := hmac.Equal([]byte(mac), []byte(k.sign(bound, page, at)))
	made, err := strconv.ParseInt(at, 10, 64)
	age := k.now().Sub(time.Unix(made, 0))
	// A minute for the clocks of a fleet.
	if !sound || err != nil || age >= formAge || age < -time.Minute {
		return ErrForm
	}
	return nil
}

// FormStatus is the HTTP status of an error of CheckForm.
func FormStatus(err error) int {
	tooLong := (*http.MaxBytesError)(nil)
	switch {
	case errors.Is(err, ErrForm):
		return http.StatusForbidden
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}
