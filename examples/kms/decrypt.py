# Python
import boto3, os
kms = boto3.client("kms", region_name=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_KMS_ENDPOINT"])
print(kms.decrypt(CiphertextBlob=open("/srv/secret.bin", "rb").read())["Plaintext"].decode())
