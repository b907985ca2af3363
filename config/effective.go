package config

// Effective is what holds for a domain block, with the origin of each setting.
type Effective struct {
	Domain   Domain
	Settings []Setting // in the order of the documentation
}

// Setting is one attribute of a domain block as it holds.
type Setting struct {
	Path   string // "every", "chain.full_every", "copy.offsite"
	Value  string // as it is written in HCL; "null" where nothing is set
	Origin Origin // zero: the default
}

// Effective lists every setting of every domain block, by the block's name.
func (c *Config) Effective() []Effective {
	var all []Effective
	s := domainSpec()
	for _, d := range c.drafts {
		all = append(all, Effective{d.Domain, d.settings(s)})
	}
	return all
}

func (d *draft) settings(s spec[Domain]) []Setting {
	var all []Setting
	list := func(prefix string, fields []field[Domain]) {
		for _, f := range fields {
			if f.set == nil {
				continue
			}
			value := f.show(&d.Domain)
			if f.other == "" || value != "null" { // not the one of every and schedule that does not count
				all = append(all, Setting{prefix + f.Name, value, d.ledger.from[prefix+f.Name]})
			}
		}
	}
	list("", s.fields)
	for _, b := range s.blocks {
		list(b.Name+".", b.fields)
	}
	for _, c := range d.Policy.Copies {
		all = append(all, Setting{"copy." + c.Name, "to " + c.To + ", " + c.Only, d.ledger.from["copy."+c.Name]})
	}
	for _, h := range d.Policy.Hooks {
		all = append(all, Setting{"hook." + h.When, showList(h.Command), d.ledger.from["hook."+h.When]})
	}
	return all
}
