package nbd

import (
	"reflect"
	"testing"
)

func TestTile(t *testing.T) {
	s := func(end int64, set bool) stretch {
		v := stretch(end) << 1
		if set {
			v |= 1
		}
		return v
	}
	for _, test := range []struct {
		name           string
		offset, length int64
		zero, dirty    []stretch
		want           []Extent
	}{
		{"nothing known", 7, 9, nil, nil, []Extent{{7, 9, false, true}}},
		{"both change at one place", 0, 8, []stretch{s(4, true), s(8, false)}, []stretch{s(4, false), s(8, true)},
			[]Extent{{0, 4, true, false}, {4, 4, false, true}}},
		{"apart", 0, 8, []stretch{s(3, true), s(8, false)}, []stretch{s(5, true), s(8, false)},
			[]Extent{{0, 3, true, true}, {3, 2, false, true}, {5, 3, false, false}}},
		{"clipped", 2, 4, []stretch{s(100, true)}, []stretch{s(4, true), s(90, false)},
			[]Extent{{2, 2, true, true}, {4, 2, true, false}}},
		{"neighbours of one state", 0, 6, []stretch{s(2, true), s(4, true), s(6, true)}, nil, []Extent{{0, 6, true, true}}},
		{"largest", 0, 1 << 61, []stretch{s(1<<61-1, true), s(1<<61, false)}, nil,
			[]Extent{{0, 1<<61 - 1, true, true}, {1<<61 - 1, 1, false, true}}},
	} {
		if got := tile(test.offset, test.length, test.zero, test.dirty); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
