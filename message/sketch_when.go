package message

// when finds appointments in a line: a day and an hour close to each other. Reminders
// of a practice differ in these and a name alone, so each counts as much as a sentence.
//
// Only days there are and hours at which people work count: who replaces every digit
// of his letter by chance seldom hits them. Of the minutes it matters that they are fives.
type when struct {
	numbered  bool   // a number stood before
	number    int    // which
	separator byte   // that stood right after it
	clock     int    // the number before a colon
	minutes   bool   // may follow the hour
	word      uint64 // the one before
	day       moment
	hour      moment
}

// moment is a part of an appointment and the word of the letter that it stands at.
type moment struct {
	is uint64 // 0: none
	at int
}

// nearby is in words: "mardi 24 novembre 2026 dans nos locaux à 14 h 30".
const nearby = 8

// busy says whether the next word matters, by more than that it is the last one.
func (w *when) busy() bool { return w.numbered || w.minutes }

// takeWord tells of a word, the nth of the letter; it may make a day or an hour of the
// number before.
func (w *when) takeWord(h uint64, nth int) {
	if w.numbered {
		switch {
		case months.of(h) > 0:
			w.setDay(w.number, months.of(h), nth)
		case hourWords.of(h):
			w.setHour(w.number, nth)
		case h == morning, h == afternoon:
			w.setHalf(h == afternoon, nth)
		}
	}
	w.numbered, w.clock, w.word = false, 0, h
	w.minutes = w.minutes && hourWords.of(h)
}

// takeNumber tells of a number, the letter that stands right after its digits or 0,
// the digits after that, and the byte after it all.
func (w *when) takeNumber(n int, letter byte, rest int, after byte, nth int) {
	if w.minutes && letter == 0 {
		w.check(n)
	}
	w.minutes = false
	switch {
	case letter == 'h':
		w.setHour(n, nth)
		w.check(rest)
	case after == ':':
		w.setHour(n, nth)
		w.clock = n
	case months.of(w.word) > 0:
		w.setDay(n, months.of(w.word), nth)
	case w.numbered && n <= 12 && (w.separator == '/' || w.separator == '.' || w.separator == '-'):
		w.setDay(w.number, n, nth)
	}
	w.numbered, w.number, w.separator, w.word = true, n, after, 0
}

func (w *when) setDay(day, month, nth int) {
	if 1 <= day && day <= 31 && month >= 1 {
		w.day = moment{uint64(month)<<8 | uint64(day), nth}
	}
}

func (w *when) setHour(hour, nth int) {
	if 7 <= hour && hour <= 20 {
		w.hour = moment{uint64(hour), nth}
		w.minutes = true
	}
}

// check takes the hour back that has minutes at which nobody is called.
func (w *when) check(minutes int) {
	if w.minutes = false; minutes >= 60 || minutes%5 != 0 {
		w.hour = moment{}
	}
}

// setHalf makes an hour of "2 pm" and "2:30 pm". With one digit for the hour chance
// hits too often, so the evening does not count here.
func (w *when) setHalf(afternoon bool, nth int) {
	hour := w.number
	if w.clock > 0 {
		hour = w.clock
	}
	w.hour = moment{}
	switch {
	case !afternoon && hour <= 11, hour == 12 && afternoon:
		w.setHour(hour, nth)
	case afternoon && 1 <= hour && hour <= 6:
		w.setHour(hour+12, nth)
	}
}

// appointment is the day and the hour, once both are there; 0 before.
func (w *when) appointment() uint64 {
	apart := w.day.at - w.hour.at
	if w.minutes || w.day.is == 0 || w.hour.is == 0 || apart > nearby || apart < -nearby {
		return 0
	}
	both := w.day.is<<8 | w.hour.is
	w.day, w.hour = moment{}, moment{}
	return both
}

var (
	months = func() wordSet[int] {
		set := wordSet[int]{words: map[uint64]int{}}
		for i, name := range []string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
			"novembre", "décembre", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
			"november", "december", "jan", "feb", "mar", "apr", "mai", "jun", "jul", "aug", "sep", "oct", "nov", "dec"} {
			set.add(hashWords(name), i%12+1)
		}
		return set
	}()
	hourWords = func() wordSet[bool] {
		set := wordSet[bool]{words: map[uint64]bool{}}
		for _, word := range []string{"h", "heure", "heures", "uhr"} {
			set.add(hashWords(word), true)
		}
		return set
	}()
	morning, afternoon = hashWords("am"), hashWords("pm")
)
