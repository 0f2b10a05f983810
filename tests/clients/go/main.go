// Command client drives a machine by Firecracker's own Go SDK, as published: it starts
// the program that it is given, configures it, runs the guest, asks, pauses, resumes and
// waits for the end.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	models "github.com/firecracker-microvm/firecracker-go-sdk/client/models"
)

const limit = 60 * time.Second

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	bin, kernel, disk, socket := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()

	config := firecracker.Config{
		SocketPath:      socket,
		KernelImagePath: kernel,
		KernelArgs:      "quiet",
		LogPath:         socket + ".log",
		MetricsPath:     socket + ".metrics",
		Drives: []models.Drive{{
			DriveID:      firecracker.String("disk"),
			PathOnHost:   firecracker.String(disk),
			IsRootDevice: firecracker.Bool(true),
			IsReadOnly:   firecracker.Bool(true),
			RateLimiter: firecracker.NewRateLimiter(
				firecracker.TokenBucketBuilder{}.WithBucketSize(1<<20).WithRefillDuration(time.Second).Build(),
				firecracker.TokenBucketBuilder{}.WithBucketSize(1000).WithRefillDuration(time.Second).Build()),
		}},
		MachineCfg: models.MachineConfiguration{
			VcpuCount:  firecracker.Int64(2),
			MemSizeMib: firecracker.Int64(48),
		},
		VsockDevices: []firecracker.VsockDevice{{ID: "vsock", Path: socket + ".vsock", CID: 3}},
		LogLevel:     "Debug",
	}
	cmd := firecracker.VMCommandBuilder{}.WithBin(bin).WithSocketPath(socket).
		WithArgs([]string{"--debug-exit-port", "0xf4"}).
		WithStdout(os.Stdout).WithStderr(os.Stderr).Build(ctx)

	m, err := firecracker.NewMachine(ctx, config, firecracker.WithProcessRunner(cmd))
	check("NewMachine", err)
	check("Start", m.Start(ctx))
	info, err := m.DescribeInstanceInfo(ctx)
	check("DescribeInstanceInfo", err)
	if *info.State != "Running" {
		check("state", fmt.Errorf("it is %q", *info.State))
	}
	check("UpdateGuestDrive", m.UpdateGuestDrive(ctx, "disk", disk))
	check("PauseVM", m.PauseVM(ctx))
	check("ResumeVM", m.ResumeVM(ctx))
	check("StopVMM", m.StopVMM())
	m.Wait(ctx)
	fmt.Println("go: all done")
}
