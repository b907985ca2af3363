package config

// Inputs is what a configuration is evaluated with besides its files.
type Inputs struct {
	Vars    []VarArg                 // -var and -var-file in the order of the command line
	Getenv  func(name string) string // for VBK_VAR_NAME; "" is not set; nil: no environment
	Version string                   // of vbk, for required_version; "": not checked
	Partial bool                     // for validate: variables may have no value
}

// VarArg is one -var or -var-file.
type VarArg struct {
	Assignment string // NAME=VALUE, of -var
	File       string // path, of -var-file

	source []byte // of File
}
