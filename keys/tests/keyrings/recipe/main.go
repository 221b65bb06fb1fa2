// Writes a Cosmos SDK keyring of each backend that keeps files, with entries of every kind, and tells what is in them.
//
//	go mod tidy && go run -tags "ledger test_ledger_mock" . FOLDER
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	"github.com/cosmos/cosmos-sdk/crypto/keys/multisig"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

const password = "correct hörse battery"

// A key of 32 equal bytes is nobody's.
func secret(of byte) []byte {
	return []byte(strings.Repeat(string([]byte{of}), 32))
}

type entry struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Key     string `json:"private_key"`
}

func fill(ring keyring.Keyring) []entry {
	names := []string{"supplier", "a supplier of the east/one 100%", strings.Repeat("long", 30), "ключ"}
	var entries []entry
	for index, name := range names {
		key := &secp256k1.PrivKey{Key: secret(byte(index + 1))}
		must(ring.ImportPrivKeyHex(name, hex.EncodeToString(key.Key), string(hd.Secp256k1Type)))
		address := sdk.AccAddress(key.PubKey().Address()).String()
		entries = append(entries, entry{name, address, hex.EncodeToString(key.Key)})
	}
	other := ed25519.GenPrivKeyFromSecret([]byte("ed25519"))
	armor := crypto.EncryptArmorPrivKey(other, "passphrase", string(hd.Ed25519Type))
	must(ring.ImportPrivKey("validator", armor, "passphrase"))
	first := (&secp256k1.PrivKey{Key: secret(11)}).PubKey()
	second := (&secp256k1.PrivKey{Key: secret(12)}).PubKey()
	_, err := ring.SaveOfflineKey("offline", first)
	must(err)
	both := multisig.NewLegacyAminoPubKey(2, []cryptotypes.PubKey{first, second})
	_, err = ring.SaveMultisig("multisig", both)
	must(err)
	_, err = ring.SaveLedgerKey("ledger", hd.Secp256k1, "pokt", 118, 0, 0)
	must(err)
	return entries
}

func main() {
	// Without a desktop the backend "os" keeps files.
	must(os.Unsetenv("DBUS_SESSION_BUS_ADDRESS"))
	sdk.GetConfig().SetBech32PrefixForAccount("pokt", "poktpub")
	registry := codectypes.NewInterfaceRegistry()
	cryptocodec.RegisterInterfaces(registry)
	proto := codec.NewProtoCodec(registry)
	var told struct {
		Password string   `json:"password"`
		Keys     []entry  `json:"keys"`
		Others   []string `json:"others"`
	}
	told.Password = password
	told.Others = []string{"ledger", "multisig", "offline", "validator"}
	for _, backend := range []string{keyring.BackendTest, keyring.BackendFile, keyring.BackendOS} {
		folder := os.Args[1]
		if backend == keyring.BackendOS {
			folder += "/keyring-os"
			must(os.MkdirAll(folder, 0o700))
		}
		typed := strings.NewReader(strings.Repeat(password+"\n", 100))
		ring, err := keyring.New("pocket", backend, folder, typed, proto)
		must(err)
		told.Keys = fill(ring)
	}
	text, err := json.MarshalIndent(told, "", "  ")
	must(err)
	must(os.WriteFile(os.Args[1]+"/contents.json", append(text, '\n'), 0o644))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
