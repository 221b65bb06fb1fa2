module keyrings

go 1.26

require (
	// The first that knows this version of Go.
	github.com/bytedance/sonic v1.15.0
	// The chain's.
	github.com/cosmos/cosmos-sdk v0.53.7
)

// As the chain does.
replace github.com/syndtr/goleveldb => github.com/syndtr/goleveldb v1.0.1-0.20210819022825-2ae1ddf74ef7
