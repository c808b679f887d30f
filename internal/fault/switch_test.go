package fault

import "testing"

func TestEach(t *testing.T) {
	was := switches
	t.Cleanup(func() { switches = was })
	switches = []string{"lose", "forget"}
	var got []int
	for i := range 7 {
		if Each(3, "lose") {
			got = append(got, i)
		}
		if Each(1, "crash") {
			t.Error("a switch that is off has a turn")
		}
	}
	if len(got) != 2 || got[0] != 2 || got[1] != 5 {
		t.Errorf("turns %v, want 2 and 5", got)
	}
}
