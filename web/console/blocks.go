package console

import (
	"fmt"

	"o2n-milter/web/desk"
)

func (v *visit) blocks() (*sheet, error) {
	all := v.r.FormValue("all") != ""
	list, err := v.Desk.Blocks(v.r.Context(), all)
	if err != nil {
		return nil, err
	}
	p := struct {
		All    bool
		Blocks []desk.BlockView
		Pager  pager
	}{All: all}
	p.Blocks, p.Pager = cut(v.r, list.Blocks)
	return &sheet{Title: "Blocks", Menu: "/admin/blocks", template: blocksPage, Page: p}, nil
}

func (v *visit) block() (*sheet, error) {
	b, err := v.Desk.Block(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &sheet{Title: "Block " + b.ID, Menu: "/admin/blocks", template: blockPage, Page: b}, nil
}

func (v *visit) lift() (to, done string, err error) {
	id := v.r.PathValue("id")
	list, err := v.Desk.LiftBlock(v.r.Context(), v.actor(), desk.LiftBlock{Block: id, Reason: v.r.PostFormValue("reason")})
	if err != nil {
		return "", "", err
	}
	b := list.Blocks[0] // one id names one block
	if !b.Changed {
		return "/admin/blocks/" + id, fmt.Sprintf("Block %s was %s already: nothing was changed.", id, b.State), nil
	}
	return "/admin/blocks/" + id, fmt.Sprintf("Lifted block %s: %s may send again.", id, b.Subject), nil
}

func (v *visit) extend() (to, done string, err error) {
	id := v.r.PathValue("id")
	b, err := v.Desk.ExtendBlock(v.r.Context(), v.actor(), desk.ExtendBlock{
		Block: id, For: v.r.PostFormValue("for"), Reason: v.r.PostFormValue("reason"),
	})
	return "/admin/blocks/" + b.ID, fmt.Sprintf("Block %s took the place of %s and lasts %s.", b.ID, id, ending(b.Until)), err
}
