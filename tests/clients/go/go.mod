module wisp.invalid/client

go 1.20

require github.com/firecracker-microvm/firecracker-go-sdk v1.0.0
