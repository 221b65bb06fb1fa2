// Command pocketd runs a Pocket Network (Shannon) chain node for end-to-end tests.
//
// It assembles the chain application published in the poktroll module with the
// Cosmos SDK's own server and client commands. It leaves out the relay miner
// commands of the official binary, so that every dependency can be had from the
// Go module proxy.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"cosmossdk.io/client/v2/autocli"
	clientkeyring "cosmossdk.io/client/v2/autocli/keyring"
	"cosmossdk.io/core/address"
	"cosmossdk.io/depinject"
	"cosmossdk.io/log"
	cmtcfg "github.com/cometbft/cometbft/config"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/client/rpc"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/server"
	svrcmd "github.com/cosmos/cosmos-sdk/server/cmd"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	authcli "github.com/cosmos/cosmos-sdk/x/auth/client/cli"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"
	"github.com/spf13/cobra"

	"github.com/pokt-network/poktroll/app"
	"github.com/pokt-network/poktroll/cmd/logger"
)

const chainID = "pocket"

func main() {
	setAddressPrefixes(app.AccountAddressPrefix)
	logger.LogOutput = "stderr" // the chain's staking commands log through this package
	if err := svrcmd.Execute(rootCommand(), "", app.DefaultNodeHome); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func setAddressPrefixes(prefix string) {
	cfg := sdk.GetConfig()
	if cfg.GetBech32AccountAddrPrefix() == prefix {
		return
	}
	cfg.SetBech32PrefixForAccount(prefix, prefix+"pub")
	cfg.SetBech32PrefixForValidator(prefix+"valoper", prefix+"valoperpub")
	cfg.SetBech32PrefixForConsensusNode(prefix+"valcons", prefix+"valconspub")
	cfg.Seal()
}

func rootCommand() *cobra.Command {
	var (
		autoCLI autocli.AppOptions
		basics  module.BasicManager
		ctx     client.Context
	)
	if err := depinject.Inject(
		depinject.Configs(app.AppConfig(), depinject.Supply(log.NewNopLogger()), depinject.Provide(ProvideClientContext, ProvideKeyring)),
		&autoCLI, &basics, &ctx,
	); err != nil {
		panic(err)
	}

	root := &cobra.Command{
		Use:           "pocketd",
		Short:         "A Pocket Network chain node for end-to-end tests",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stdout) // generated queries would print their answer to standard error
			cmdCtx, err := client.ReadPersistentCommandFlags(ctx.WithCmdContext(cmd.Context()), cmd.Flags())
			if err != nil {
				return err
			}
			if cmdCtx, err = config.ReadFromClientConfig(cmdCtx); err != nil {
				return err
			}
			if err = client.SetCmdClientContextHandler(cmdCtx, cmd); err != nil {
				return err
			}
			if err = logger.PreRunESetup(cmd, nil); err != nil {
				return err
			}
			return server.InterceptConfigsPreRunHandler(cmd, serverconfig.DefaultConfigTemplate, serverconfig.DefaultConfig(), cmtcfg.DefaultConfig())
		},
	}

	for name, m := range app.RegisterIBC(ctx.InterfaceRegistry) {
		autoCLI.Modules[name] = m
	}

	root.AddCommand(
		actorsCommand(),
		genutilcli.InitCmd(basics, app.DefaultNodeHome),
		genutilcli.Commands(ctx.TxConfig, basics, app.DefaultNodeHome),
		server.StatusCommand(),
		keys.Commands(),
		parent("query", []string{"q"}, server.QueryBlockCmd(), authcli.QueryTxCmd(), authcli.QueryTxsByEventsCmd(), server.QueryBlockResultsCmd(), rpc.ValidatorCommand()),
		parent("tx", nil, authcli.GetSignCommand(), authcli.GetBroadcastCommand(), authcli.GetSimulateCmd(), authcli.GetEncodeCommand(), authcli.GetDecodeCommand()),
	)
	server.AddCommands(root, app.DefaultNodeHome, newApp, exportApp, func(*cobra.Command) {})
	if err := autoCLI.EnhanceRootCommand(root); err != nil {
		panic(err)
	}
	return root
}

// ProvideClientContext builds the client context that every command starts from.
func ProvideClientContext(cdc codec.Codec, reg codectypes.InterfaceRegistry, txCfg client.TxConfig, amino *codec.LegacyAmino) client.Context {
	return client.Context{}.WithCodec(cdc).WithInterfaceRegistry(reg).WithTxConfig(txCfg).WithLegacyAmino(amino).
		WithInput(os.Stdin).WithAccountRetriever(authtypes.AccountRetriever{}).WithHomeDir(app.DefaultNodeHome).WithViper("")
}

// ProvideKeyring opens the keyring that generated transaction commands sign with.
func ProvideKeyring(ctx client.Context, _ address.Codec) (clientkeyring.Keyring, error) {
	kb, err := client.NewKeyringFromBackend(ctx, keyring.BackendTest)
	if err != nil {
		return nil, err
	}
	return keyring.NewAutoCLIKeyring(kb)
}

func parent(use string, aliases []string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Aliases: aliases, Short: use + " subcommands", RunE: client.ValidateCmd}
	cmd.AddCommand(children...)
	cmd.PersistentFlags().String(flags.FlagChainID, chainID, "the network chain ID")
	return cmd
}

func newApp(logger log.Logger, db dbm.DB, trace io.Writer, opts servertypes.AppOptions) servertypes.Application {
	a, err := app.New(logger, db, trace, true, opts, server.DefaultBaseappOptions(opts)...)
	if err != nil {
		panic(err)
	}
	return a
}

func exportApp(logger log.Logger, db dbm.DB, trace io.Writer, height int64, forZeroHeight bool, jailAllowed []string, opts servertypes.AppOptions, modules []string) (servertypes.ExportedApp, error) {
	if height != -1 {
		return servertypes.ExportedApp{}, errors.New("only the latest height can be exported")
	}
	a, err := app.New(logger, db, trace, true, opts)
	if err != nil {
		return servertypes.ExportedApp{}, err
	}
	return a.ExportAppStateAndValidators(forZeroHeight, jailAllowed, modules)
}
