package ledger

import "o2n-milter/state"

// parcel is one letter of the call at work, with what it is about.
type parcel struct {
	*state.Letter
	about    int          // of whom
	entry    *Entry       // holds the campaigns of its subject
	hashes   []uint64     // of its recipients, in order and each once
	of       state.Sketch // its campaign's
	campaign state.Campaign
}

// match finds what campaigns the letters belong to: all of them before any is put
// there.
func match(parcels []parcel) {
	for i := range parcels {
		x := &parcels[i]
		all := x.entry.letters
		var is bool
		if x.of, is = all.Nearest(x.Sketch, x.Near); !is && len(x.hashes) == 0 {
			continue
		}
		known, unknown := all.Known(x.of, x.hashes)
		x.campaign = state.Campaign{
			ID: state.CampaignID(x.Subject, x.of), Known: known, New: unknown,
			Full: len(x.hashes) > 0 && known+unknown > x.Max,
		}
	}
}

func anyFull(parcels []parcel) bool {
	for i := range parcels {
		if parcels[i].campaign.Full {
			return true
		}
	}
	return false
}

// found is what became of the letters.
func found(parcels []parcel) []state.Campaign {
	if len(parcels) == 0 {
		return nil
	}
	out := make([]state.Campaign, len(parcels))
	for i := range parcels {
		out[i] = parcels[i].campaign
	}
	return out
}
