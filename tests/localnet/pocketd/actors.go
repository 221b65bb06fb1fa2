package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"
)

// actor is one account of the local chain.
type actor struct {
	Address    string `json:"address"`
	PublicKey  []byte `json:"public_key"`
	PrivateKey string `json:"private_key"`
}

// actorsCommand prints the accounts behind names. A key is the SHA-256 of a fixed label with the name, so that every
// chain has the same accounts, and everybody has their keys.
func actorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "actors NAME...",
		Short: "Print addresses and keys of the local chain's actors as JSON",
		RunE: func(cmd *cobra.Command, names []string) error {
			actors := make(map[string]actor, len(names))
			for _, name := range names {
				secret := sha256.Sum256([]byte("pocket localnet " + name))
				public := (&secp256k1.PrivKey{Key: secret[:]}).PubKey()
				actors[name] = actor{sdk.AccAddress(public.Address()).String(), public.Bytes(), hex.EncodeToString(secret[:])}
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(actors)
		},
	}
}
