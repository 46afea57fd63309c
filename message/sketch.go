package message

// Sketch is what is left of a letter when all that bulk mail varies is taken out of
// it: two letters are as alike as few of their bits differ.
type Sketch [4]uint64

// Letter is what a letter's sketch is made of.
type Letter struct {
	Subject string // decoded
	Text    string // Body.Text
	Links   []Link
	Files   []uint64
}

// Sketch of the letter; false when there is nothing in it to tell it by.
func (l Letter) Sketch() (Sketch, bool) {
	return Sketch{}, false
}

// Near is how many bits the sketches of two messages of one campaign differ by at most.
const Near = 64
