// Go, aws-sdk-go-v2
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("AWS_KMS_ENDPOINT"))
	})
	blob, err := os.ReadFile("/srv/secret.bin")
	if err != nil {
		log.Fatal(err)
	}
	out, err := client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(out.Plaintext))
}
