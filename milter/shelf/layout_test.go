package shelf

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// places are where each field of a struct lies, those of its structs too.
func places(t reflect.Type, at uintptr, name string, list *[]string) {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			places(f.Type, at+f.Offset, name+"."+f.Name, list)
		}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Struct {
			for i := range t.Len() {
				places(t.Elem(), at+uintptr(i)*t.Elem().Size(), fmt.Sprintf("%s[%d]", name, i), list)
			}
			return
		}
		fallthrough
	default:
		*list = append(*list, fmt.Sprintf("%s %d+%d", name, at, t.Size()))
	}
}

// A tape is read by the next process, perhaps of another version. Whoever changes this, or
// what one of the numbers means, gives layout another number, too.
func TestTapesOfReleases(t *testing.T) {
	const number = 2
	const want = ".format 0+8 .active 8+4 .working 12+4 .labelSize 16+4 ._ 20+4 .label 24+128" +
		" .copies[0].state.prefix 152+4 .copies[0].state.prefixAnswers 156+4 .copies[0].state.length 160+4" +
		" .copies[0].state.answers 164+4 .copies[0].state.owed 168+4 .copies[0].state.lost 172+4 .copies[0].state.resumed 176+4"
	var list []string
	places(reflect.TypeFor[head](), 0, "", &list)
	got := strings.Join(list, " ")
	if !strings.HasPrefix(got, want) {
		t.Errorf("the head of a tape is\n%s\nwant it to begin with\n%s", got, want)
	}
	for _, end := range []string{".copies[0].recv.done 240+4", ".copies[0].send.done 320+4", ".copies[1].state.prefix 344+4", ".answer 536+4096"} {
		if !strings.Contains(got+" ", end+" ") {
			t.Errorf("the head of a tape is\n%s\nwant %s in it", got, end)
		}
	}
	if layout>>56 != number || headSize != 8<<10 || tapeRoom != 12<<20 {
		t.Errorf("layout %d, data of %d bytes behind %d; want what this test has", uint64(layout>>56), tapeRoom, headSize)
	}
}
