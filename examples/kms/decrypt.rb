# Ruby
require "aws-sdk-kms"
kms = Aws::KMS::Client.new(endpoint: ENV.fetch("AWS_KMS_ENDPOINT"))
puts kms.decrypt(ciphertext_blob: File.binread("/srv/secret.bin")).plaintext
